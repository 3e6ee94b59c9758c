"""Each parameter that means nothing is refused by its name, and its neighbour is taken."""

import pytest

from headrace.errors import InvalidPayload
from headrace.jobs.analyze_table import AnalyzeTable
from headrace.jobs.archive_rows import ArchiveRows
from headrace.jobs.check_data import CheckData
from headrace.jobs.create_partitions import CreatePartitions
from headrace.jobs.data_aggregation import DataAggregation
from headrace.jobs.detach_partitions import DetachPartitions
from headrace.jobs.export_query import ExportQuery
from headrace.jobs.http_extract import HttpExtract
from headrace.jobs.load_file import LoadFile
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.rebuild_index import RebuildIndex
from headrace.jobs.run_sql import RunSql
from headrace.jobs.shell_command import ShellCommand
from headrace.jobs.sync_table import SyncTable
from headrace.jobs.vacuum_table import VacuumTable

ARCHIVE = {"table": "t", "into": "a", "column": "c", "older_than": "90d"}
FILES = {"table": "t", "path": "a.csv", "column": "c", "older_than": "90d"}
TOTALS = {"table": "t", "group_by": "g"}
ASKED = {"url": "http://h/x", "into": "t"}
AUTH = {
    "type": "oauth2_client_credentials",
    "access_token_url": "http://h/token",
    "client_id": "me",
    "client_secret": "${API_SECRET}",
}
LOADED = {"path": "x.csv", "table": "t"}
MIRRORED = {"source_table": "s", "target_table": "t"}
SEVERAL = {"tables": ["public.*"], "target_schema": "copy"}
SYNCED = {"source_table": "s", "target_table": "t", "primary_key": "id"}
ROWS = [{"row_count": None}]


def checked(kind: str, **keys: object) -> dict[str, object]:
    return {"table": "t", "checks": [{kind: keys}]}


REFUSED = [
    (AnalyzeTable, {}, "AnalyzeTable takes either table or schema"),
    (AnalyzeTable, {"table": "t", "schema": "s"}, "AnalyzeTable takes either table or schema"),
    (AnalyzeTable, {"schema": "s", "columns": ["a"]}, "columns are those of a table: name it"),
    (AnalyzeTable, {"table": "t", "lock_timeout": "x"}, "lock_timeout is a duration, as in 10s"),
    (VacuumTable, {}, "VacuumTable takes either table or schema"),
    (VacuumTable, {"table": "t", "min_dead": 0}, "min_dead must be at least 1, not 0"),
    (VacuumTable, {"table": "t", "min_age": 0}, "min_age must be at least 1, not 0"),
    (VacuumTable, {"table": "t", "min_dead": "many"}, "or a share such as 20%, not 'many'"),
    (RebuildIndex, {"table": "t", "schema": "s"}, "takes one of index, table and schema"),
    (RebuildIndex, {"table": "t", "min_bloat": "30"}, "min_bloat is a share such as 30%, not '30'"),
    (RebuildIndex, {"table": "t", "min_bloat": "100.1%"}, "a share such as 30%, not '100.1%'"),
    (ArchiveRows, {**ARCHIVE, "path": "a.csv"}, "ArchiveRows takes either into or path"),
    (ArchiveRows, {**ARCHIVE, "before": "2026"}, "takes either older_than or before"),
    (ArchiveRows, {**ARCHIVE, "into": "t"}, "into is the table itself, t: choose another one"),
    (ArchiveRows, {**ARCHIVE, "limit": 0}, "limit must be at least 1, not 0"),
    (ArchiveRows, {**ARCHIVE, "batch_size": 0}, "batch_size must be at least 1, not 0"),
    (
        ArchiveRows,
        {**ARCHIVE, "batch_size": 5, "batch_limit": 0},
        "batch_limit must be at least 1, not 0",
    ),
    (ArchiveRows, {**ARCHIVE, "limit": 5, "batch_size": 5}, "do not go together: use batch_limit"),
    (ArchiveRows, {**ARCHIVE, "wait": "1s"}, "wait, batch_limit and vacuum need batch_size"),
    (ArchiveRows, {**ARCHIVE, "vacuum": True}, "wait, batch_limit and vacuum need batch_size"),
    (ArchiveRows, {**ARCHIVE, "batch_limit": 5}, "wait, batch_limit and vacuum need batch_size"),
    (ArchiveRows, {**ARCHIVE, "wait": "1w", "batch_size": 5}, "wait '1w' is not a duration"),
    (ArchiveRows, {**ARCHIVE, "lock_wait": "soon"}, "lock_wait 'soon' is not a duration"),
    (ArchiveRows, {**ARCHIVE, "older_than": "90"}, "older_than '90' is not an age"),
    (
        ArchiveRows,
        {**ARCHIVE, "checks": ROWS, "batch_size": 5},
        "checks judge one transaction, and batches are committed by themselves",
    ),
    (
        ArchiveRows,
        {**ARCHIVE, "checks": ROWS, "target_connection": "other"},
        "checks judge one transaction, and batches are committed by themselves",
    ),
    (
        ArchiveRows,
        {**ARCHIVE, "children": {"u": "t_id"}, "target_connection": "other"},
        "children move within one database only",
    ),
    (
        ArchiveRows,
        {**ARCHIVE, "children": {"u": {"column": "t_id"}}},
        "children: u takes the column that refers to the table above, or a mapping",
    ),
    (
        ArchiveRows,
        {**ARCHIVE, "children": {"u": {"key": "t_id", "more": 1}}},
        "children: u takes the column that refers to the table above, or a mapping",
    ),
    (
        ArchiveRows,
        {**ARCHIVE, "keep_rows": True, "target_connection": "other", "limit": 5},
        "leave limit and batch_size away",
    ),
    (
        ArchiveRows,
        {**ARCHIVE, "keep_rows": True, "target_connection": "other", "batch_size": 5},
        "leave limit and batch_size away",
    ),
    (ArchiveRows, {**FILES, "path": "a.xlsx"}, "path 'a.xlsx': rows are archived as .parquet"),
    (ArchiveRows, {**FILES, "path": "a"}, "path 'a': rows are archived as .parquet"),
    (ArchiveRows, {**FILES, "children": {"u": "t_id"}}, "children is for an archive table"),
    (ArchiveRows, {**FILES, "keep_rows": True}, "keep_rows is for an archive table"),
    (ArchiveRows, {**FILES, "checks": ROWS}, "checks is for an archive table"),
    (ArchiveRows, {**FILES, "verify": "checksum"}, "verify: checksum is for an archive table"),
    (
        ArchiveRows,
        {**FILES, "target_connection": "other"},
        "target_connection is for an archive table",
    ),
    (ArchiveRows, {**ARCHIVE, "partitions": "detach", "where": "a = 1"}, "where is for rows"),
    (CreatePartitions, {"table": "t", "interval": 0}, "interval must be at least 1, not 0"),
    (
        CreatePartitions,
        {"table": "t", "interval": "day", "premake": -1},
        "premake is a number from 0 to 1000, not -1",
    ),
    (
        CreatePartitions,
        {"table": "t", "interval": "day", "premake": 1001},
        "premake is a number from 0 to 1000, not 1001",
    ),
    (CreatePartitions, {"table": "a.b.c", "interval": "day"}, "has too many dots"),
    (DetachPartitions, {"table": "t", "retention": -1}, "retention is no negative number: -1"),
    (DetachPartitions, {"table": "t", "retention": "90"}, "retention is an age, as in 90d"),
    (
        DetachPartitions,
        {"table": "t", "retention": 1, "retention_schema": "s", "retention_keep_table": False},
        "retention_schema is for tables that stay: retention_keep_table",
    ),
    (DetachPartitions, {"table": "t", "retention": 1, "limit": 0}, "limit must be at least 1"),
    (DataAggregation, {**TOTALS, "expect": {"rows": 1}}, "expect speaks of the rows of `into`"),
    (DataAggregation, {**TOTALS, "checks": ROWS}, "checks judge what is written"),
    (DataAggregation, {**TOTALS, "refresh": "changed"}, "refresh: changed speaks of the rows"),
    (
        DataAggregation,
        {**TOTALS, "into": "u", "refresh": "changed", "on_schema_change": "recreate"},
        "on_schema_change: recreate makes all groups anew: refresh: all",
    ),
    (
        DataAggregation,
        {**TOTALS, "into": "u", "incremental": {"cursor": "c"}},
        "incremental belongs to refresh: changed",
    ),
    (
        DataAggregation,
        {**TOTALS, "into": "u", "store_failures": {"table": "f"}},
        "store_failures needs checks",
    ),
    (RunSql, {"sql": "SELECT 1", "expect": {"rows": 1}}, "expect speaks of the rows of `into`"),
    (
        RunSql,
        {"sql": "SELECT 1", "checks": ROWS, "transaction": False},
        "checks need the transaction: remove transaction: false",
    ),
    (RunSql, {"sql": "SELECT 1", "keep_rows": -1}, "keep_rows is a number from 0 to"),
    (RunSql, {"sql": "SELECT 1", "materialized": "view"}, "materialized says what `into` is"),
    (
        RunSql,
        {"sql": "SELECT 1", "into": "v", "materialized": "view", "expect": {"rows": 1}},
        "a view stores no rows: use `checks` in place of expect",
    ),
    (
        RunSql,
        {
            "sql": "SELECT 1",
            "into": "v",
            "materialized": "materialized_view",
            "expect": {"max_delete": 1},
        },
        "expect.max_delete is for tables: a materialized view is made anew",
    ),
    (
        RunSql,
        {
            "sql": "SELECT 1",
            "into": "v",
            "materialized": "view",
            "on_schema_change": "sync_all_columns",
        },
        "on_schema_change of a view is one of",
    ),
    (RunSql, {"sql": "SELECT 1", "into": "t", "expect": {"rows": "some"}}, "expect.rows is a"),
    (
        RunSql,
        {"sql": "SELECT 1", "into": "t", "expect": {"max_delete": "101%"}},
        "expect.max_delete is a number of rows, or a share as in 5%, not '101%'",
    ),
    (ShellCommand, {"command": "  "}, "command is empty"),
    (ShellCommand, {"command": []}, "command is empty"),
    (ExportQuery, {"path": "x", "sql": "S", "sql_path": "x.sql"}, "takes either sql or sql_path"),
    (
        ExportQuery,
        {"path": "x.xlsx", "sql": "S", "compression": "gz"},
        "a spreadsheet is packed by itself: leave compression out",
    ),
    (
        ExportQuery,
        {"path": "x.parquet", "sql": "S", "compression": "xz"},
        "Parquet is packed inside, with gz or zst",
    ),
    (ExportQuery, {"path": "x.parquet", "sql": "S", "bom": True}, "bom is for CSV files only"),
    (ExportQuery, {"path": "x.jsonl", "sql": "S", "null": "-"}, "null is for CSV files only"),
    (ExportQuery, {"path": "x", "sql": "S", "split": {"rows": 1, "by": "a"}}, "split takes one of"),
    (ExportQuery, {"path": "x", "sql": "S", "split": {"rows": "5k"}}, "split.rows is a number of"),
    (ExportQuery, {"path": "x", "sql": "S", "split": {"rows": 0}}, "split.rows is a number of"),
    (ExportQuery, {"path": "x", "sql": "S", "split": {"bytes": "big"}}, "split.bytes is a size"),
    (LoadFile, {**LOADED, "columns": []}, "columns is empty"),
    (LoadFile, {**LOADED, "infer_types": True}, "infer_types needs create: true"),
    (
        LoadFile,
        {**LOADED, "header": False, "columns": ["a"], "normalize_names": "snake_case"},
        "select and normalize_names are for names of a header",
    ),
    (
        LoadFile,
        {**LOADED, "header": False, "columns": ["a"], "select": ["-a"]},
        "select and normalize_names are for names of a header",
    ),
    (LoadFile, {**LOADED, "select": ["a", "-b"]}, "select takes 'a' and leaves out 'b'"),
    (LoadFile, {**LOADED, "select": ["a as c", "b as c"]}, "select gives two columns the same"),
    (LoadFile, {**LOADED, "on_error": {"reject_table": "r"}}, "on_error has a reject_table and a"),
    (LoadFile, {**LOADED, "on_error": {"limit": 1}}, "on_error has a reject_table and a limit"),
    (LoadFile, {**LOADED, "primary_key": "id"}, "primary_key needs mode: merge or mode: insert"),
    (LoadFile, {**LOADED, "dedup_sort": {"a": "asc"}}, "dedup_sort needs mode: merge or mode:"),
    (
        LoadFile,
        {**LOADED, "mode": "merge", "primary_key": []},
        "primary_key must have at least one column",
    ),
    (
        LoadFile,
        {**LOADED, "mode": "merge", "on_schema_change": "recreate"},
        "on_schema_change: recreate drops the table with its rows: it needs mode: replace",
    ),
    (
        LoadFile,
        {**LOADED, "columns": {"a": {"type": "int", "form": "x"}}},
        "columns.a: 'form' is neither type nor format",
    ),
    (LoadFile, {**LOADED, "quote": ","}, "delimiter, quote, escape and comment must differ"),
    (LoadFile, {**LOADED, "escape": '"'}, "delimiter, quote, escape and comment must differ"),
    (LoadFile, {**LOADED, "comment": ","}, "delimiter, quote, escape and comment must differ"),
    (LoadFile, {**LOADED, "quote": "''"}, "quote must be one ASCII character, not \"''\""),
    (LoadFile, {**LOADED, "escape": "\n"}, "escape must be one ASCII character, not '\\n'"),
    (LoadFile, {**LOADED, "comment": "ß"}, "comment must be one ASCII character, not 'ß'"),
    (LoadFile, {**LOADED, "decimal": ""}, "decimal must be one ASCII character, not ''"),
    (LoadFile, {**LOADED, "thousands": ".."}, "thousands must be one ASCII character, not '..'"),
    (LoadFile, {**LOADED, "null": []}, 'null is empty: name at least one text, such as ""'),
    (LoadFile, {**LOADED, "skip_lines": -1}, "skip_lines must be 0 or more, not -1"),
    (LoadFile, {**LOADED, "delimiter": '"'}, "delimiter must be one character, neither a quote"),
    (LoadFile, {**LOADED, "delimiter": "§"}, "delimiter must be one character, neither a quote"),
    (HttpExtract, {"url": "http://h/x"}, "HttpExtract takes either into or path"),
    (HttpExtract, {**ASKED, "path": "x"}, "HttpExtract takes either into or path"),
    (HttpExtract, {**ASKED, "format": "csv", "records": "a"}, "records needs format: json"),
    (HttpExtract, {**ASKED, "max_mb": 0}, "max_mb must be at least 1"),
    (HttpExtract, {**ASKED, "body": {}}, "a body needs method: POST"),
    (HttpExtract, {**ASKED, "max_wait": "5"}, "max_wait is a duration, as in 5m, not '5'"),
    (HttpExtract, {**ASKED, "rate_limit": "0/s"}, "rate_limit is a number of requests"),
    (HttpExtract, {**ASKED, "rate_limit": "5/d"}, "rate_limit is a number of requests"),
    (
        HttpExtract,
        {"url": "http://h/x", "path": "x", "checks": ROWS},
        "checks judge the rows of `into`",
    ),
    (
        HttpExtract,
        {"url": "http://h/x", "path": "x", "paginator": {"type": "header_link"}},
        "paginator needs into",
    ),
    (
        HttpExtract,
        {**ASKED, "format": "csv", "paginator": {"type": "header_link"}},
        "paginator needs format: json or jsonl",
    ),
    (
        HttpExtract,
        {**ASKED, "format": "jsonl", "paginator": {"type": "page_number"}},
        "paginator page_number reads JSON documents: it needs format: json",
    ),
    (HttpExtract, {**ASKED, "paginator": {"type": "pages"}}, "paginator.type is one of header_"),
    (
        HttpExtract,
        {**ASKED, "paginator": {"type": "json_link", "next": "x"}},
        "paginator json_link has no key 'next'; it takes next_url_path, max_pages",
    ),
    (HttpExtract, {**ASKED, "paginator": {"type": "json_link"}}, "json_link needs next_url_path"),
    (
        HttpExtract,
        {**ASKED, "paginator": {"type": "offset", "limit": "10"}},
        "paginator.limit is a number, not '10'",
    ),
    (
        HttpExtract,
        {**ASKED, "paginator": {"type": "page_number", "page_param": 1}},
        "paginator.page_param is a text, not 1",
    ),
    (
        HttpExtract,
        {**ASKED, "paginator": {"type": "offset", "limit": 0}},
        "paginator.limit must be at least 1",
    ),
    (
        HttpExtract,
        {**ASKED, "paginator": {"type": "header_link", "max_pages": 0}},
        "paginator.max_pages is a number of at least 1",
    ),
    (
        HttpExtract,
        {
            **ASKED,
            "paginator": {
                "type": "cursor",
                "cursor_path": "a",
                "cursor_param": "b",
                "cursor_body_path": "c",
            },
        },
        "paginator cursor takes cursor_param, a parameter of the URL, or cursor_body_path",
    ),
    (
        HttpExtract,
        {
            **ASKED,
            "paginator": {"type": "cursor", "cursor_path": "a", "cursor_body_path": "b"},
        },
        "paginator.cursor_body_path needs method: POST and a body that is a mapping",
    ),
    (
        HttpExtract,
        {
            **ASKED,
            "method": "POST",
            "body": [1],
            "paginator": {"type": "cursor", "cursor_path": "a", "cursor_body_path": "b"},
        },
        "paginator.cursor_body_path needs method: POST and a body that is a mapping",
    ),
    (HttpExtract, {**ASKED, "auth": {**AUTH, "type": "basic"}}, "auth.type is oauth2_client_cre"),
    (HttpExtract, {**ASKED, "auth": {**AUTH, "client_id": 7}}, "auth needs client_id, a text"),
    (HttpExtract, {**ASKED, "auth": {**AUTH, "user": "x"}}, "auth has no key 'user'; it takes"),
    (HttpExtract, {**ASKED, "auth": {**AUTH, "client_secret": "hunter2"}}, "client_secret is a"),
    (
        HttpExtract,
        {**ASKED, "auth": {**AUTH, "send_credentials": "query"}},
        "auth.send_credentials is header or body",
    ),
    (
        HttpExtract,
        {**ASKED, "auth": {**AUTH, "access_token_request_data": "a=b"}},
        "auth.access_token_request_data is a mapping",
    ),
    (
        HttpExtract,
        {**ASKED, "auth": AUTH, "headers": {"authorization": "x"}},
        "auth sets the header Authorization: leave it out of headers",
    ),
    (
        HttpExtract,
        {**ASKED, "incremental": {"cursor": "c", "start_param": "s"}},
        "incremental needs mode: merge or insert_only",
    ),
    (
        HttpExtract,
        {**ASKED, "mode": "merge", "incremental": {"cursor": "c"}},
        "incremental needs start_param, a text",
    ),
    (
        HttpExtract,
        {**ASKED, "mode": "merge", "incremental": {"cursor": "", "start_param": "s"}},
        "incremental needs cursor, a text",
    ),
    (
        HttpExtract,
        {
            **ASKED,
            "format": "csv",
            "mode": "merge",
            "incremental": {"cursor": "c", "start_param": "s"},
        },
        "incremental needs into, and JSON",
    ),
    (MirrorTable, {}, "MirrorTable takes source_table and target_table, or tables"),
    (MirrorTable, {"source_table": "s"}, "takes source_table and target_table, or tables"),
    (MirrorTable, {**MIRRORED, "target_schema": "x"}, "target_schema belongs to tables"),
    (MirrorTable, {**MIRRORED, "where": {"s": "a"}}, "where by table belongs to tables"),
    (MirrorTable, {**MIRRORED, "where": " "}, "where is empty: leave it out to take all rows"),
    (MirrorTable, {**SEVERAL, "target_table": "t"}, "tables and source_table or target_table do"),
    (MirrorTable, {**SEVERAL, "columns": ["a"]}, "columns and select belong to one source_table"),
    (MirrorTable, {**SEVERAL, "select": ["a"]}, "columns and select belong to one source_table"),
    (MirrorTable, {**SEVERAL, "where": "a = 1"}, "with tables where says which one it is for"),
    (MirrorTable, {**SEVERAL, "where": {"public.a": " "}}, "where of public.a is empty"),
    (MirrorTable, {**SEVERAL, "replace_strategy": "swap"}, "replace_strategy: swap is for one"),
    (MirrorTable, {**MIRRORED, "replace_strategy": "swap", "jobs": 2}, "swap is for one"),
    (MirrorTable, {**SEVERAL, "tables": ["!a.b"]}, "tables names none to copy: write patterns"),
    (MirrorTable, {**SEVERAL, "mask": {"email": "null"}}, "mask: email is no column of a table"),
    (MirrorTable, {**SEVERAL, "jobs": 0}, "jobs is a number from 1 to 16, not 0"),
    (MirrorTable, {**SEVERAL, "jobs": 17}, "jobs is a number from 1 to 16, not 17"),
    (
        MirrorTable,
        {**SEVERAL, "split_tables_larger_than": "1GB"},
        "split_tables_larger_than needs jobs, more than one of them",
    ),
    (
        MirrorTable,
        {**SEVERAL, "jobs": 2, "split_tables_larger_than": "0GB"},
        "split_tables_larger_than is a size such as 500MB or 2GB, not '0GB'",
    ),
    (MirrorTable, {**MIRRORED, "columns": ["a"], "select": ["a"]}, "columns and select say the"),
    (MirrorTable, {**MIRRORED, "select": ["a", "-b"]}, "select takes 'a' and leaves out 'b'"),
    (MirrorTable, {**MIRRORED, "mask": {"a": "hush"}}, "mask: a has 'hush', which is none of"),
    (MirrorTable, {**MIRRORED, "mask": {"a": "hash:3"}}, "mask: a has 'hash:3', which is none of"),
    (MirrorTable, {**MIRRORED, "mask": {"a": "partial:x"}}, "mask: a has 'partial:x'"),
    (MirrorTable, {**MIRRORED, "mask": {"a": "fake:age"}}, "mask: a has 'fake:age'"),
    (
        MirrorTable,
        {**MIRRORED, "mask": {"a": "hash"}},
        "the mask of a needs mask_salt: {env: NAME}",
    ),
    (MirrorTable, {**MIRRORED, "mask": {"a": "fake:city"}}, "the mask of a needs mask_salt"),
    (
        MirrorTable,
        {**MIRRORED, "mask": {"a": "hash"}, "mask_salt": {"file": "x"}},
        "mask_salt names a variable of the worker: {env: NAME}",
    ),
    (SyncTable, {"source_table": "s", "primary_key": "id"}, "target_table is missing: the table"),
    (SyncTable, {**SYNCED, "source_sql": "S"}, "takes either source_table or source_sql"),
    (
        SyncTable,
        {"source_sql": " ; ", "target_table": "t", "primary_key": "id"},
        "source_sql is empty: write a SELECT, or name a source_table",
    ),
    (SyncTable, {**SYNCED, "key": "id"}, "key is another name of primary_key: keep one of them"),
    (SyncTable, {**MIRRORED}, "primary_key is missing: the columns that match rows"),
    (SyncTable, {**SYNCED, "primary_key": []}, "primary_key must have at least one column"),
    (SyncTable, {**SYNCED, "columns": ["a"]}, "columns must include the key"),
    (SyncTable, {**SYNCED, "scd2": {}}, "scd2 belongs to merge_strategy: scd2"),
    (
        SyncTable,
        {**SYNCED, "merge_strategy": "scd2", "scd2": {"hard_deletes": "keep"}},
        "scd2.hard_deletes is ignore or invalidate",
    ),
    (
        SyncTable,
        {**SYNCED, "merge_strategy": "scd2", "scd2": {"valid_from": "at", "current": "at"}},
        "scd2 gives two columns the same name",
    ),
    (
        SyncTable,
        {**SYNCED, "merge_strategy": "scd2", "delete_missing": "hard"},
        "merge_strategy: scd2 deletes nothing: scd2.hard_deletes",
    ),
    (
        SyncTable,
        {**SYNCED, "delete": True, "delete_missing": "soft"},
        "delete: true is delete_missing: hard: keep one of them",
    ),
    (
        SyncTable,
        {**SYNCED, "merge_strategy": "delete_insert", "delete_missing": "soft"},
        "merge_strategy: delete_insert keeps none of a key: take hard, or another strategy",
    ),
    (
        SyncTable,
        {**SYNCED, "update_columns": []},
        "update_columns must have at least one column: merge_strategy: insert_only changes none",
    ),
    (
        SyncTable,
        {**SYNCED, "merge_strategy": "insert_only", "update_columns": ["a"]},
        "update_columns has no use with insert_only",
    ),
    (SyncTable, {**SYNCED, "update_columns": ["id"]}, "update_columns must not have the key"),
    (SyncTable, {**SYNCED, "update_columns": ['"id"']}, "update_columns must not have the key"),
    (
        SyncTable,
        {**SYNCED, "incremental": {"cursor": "c"}, "delete_missing": "hard"},
        "incremental reads only what is new, so nobody can tell what is missing",
    ),
    (
        SyncTable,
        {
            **SYNCED,
            "incremental": {"cursor": "c"},
            "merge_strategy": "scd2",
            "scd2": {"hard_deletes": "invalidate"},
        },
        "incremental reads only what is new, so nobody can tell what is missing",
    ),
    (SyncTable, {**SYNCED, "incremental": {}}, "incremental.cursor names the column that grows"),
    (
        SyncTable,
        {**SYNCED, "incremental": {"cursor": "c", "on_null": "skip"}},
        "incremental.on_null is one of include, exclude, fail",
    ),
    (
        SyncTable,
        {**SYNCED, "incremental": {"cursor": "c", "lag": -1}},
        "incremental.lag is a duration, as in 10m, or a whole number",
    ),
    (
        SyncTable,
        {**SYNCED, "incremental": {"cursor": "c", "lag": True}},
        "incremental.lag is a duration, as in 10m, or a whole number",
    ),
    (SyncTable, {**SYNCED, "chunk_size": 0}, "chunk_size must be at least 1, not 0"),
    (
        SyncTable,
        {**SYNCED, "chunk_size": 1, "delete_missing": "hard"},
        "what is missing is known only when all rows are there",
    ),
    (
        SyncTable,
        {
            **SYNCED,
            "chunk_size": 1,
            "merge_strategy": "delete_insert",
            "incremental": {"cursor": "c"},
        },
        "with incremental a chunk goes by the cursor, and delete_insert needs all rows",
    ),
    (SyncTable, {**SYNCED, "chunk_size": 1, "checks": ROWS}, "chunks are committed by themselves"),
    (
        SyncTable,
        {**SYNCED, "chunk_size": 1, "expect": {"rows": 1}},
        "expect and checks judge one transaction, and chunks are committed by themselves",
    ),
    (CheckData, {"sql": "S", "sql_path": "x.sql"}, "CheckData takes either sql or sql_path"),
    (CheckData, {"min_rows": 1}, "CheckData needs the table for its rules"),
    (CheckData, {"checks": [{"row_count": {}, "missing": {}}]}, "checks[0] is one check, as in"),
    (CheckData, {"checks": [None]}, "checks[0] is one check, as in - row_count"),
    (CheckData, checked("row_cuont"), 'checks[0]: there is no check "row_cuont"; did you mean'),
    (CheckData, {"table": "t", "checks": [{"missing": "a"}]}, "missing takes a mapping, not 'a'"),
    (CheckData, checked("missing"), 'checks[0]: missing needs the key "column"'),
    (CheckData, checked("missing", column="a", colum="a"), 'missing has no key "colum"; did you'),
    (CheckData, {"checks": ROWS}, "checks[0]: row_count needs a table: {row_count: {table: …}}"),
    (CheckData, checked("row_count", table=1), "checks[0]: table of row_count is a text, not 1"),
    (CheckData, checked("row_count", filter=1), "filter of row_count is a text, not 1"),
    (CheckData, checked("row_count", name=1), "name of row_count is a text, not 1"),
    (CheckData, checked("row_count", level="info"), "level of row_count is error or warn, not"),
    (CheckData, checked("freshness", column="a"), "freshness needs a bound, such as must_be_less"),
    (CheckData, checked("freshness", column="a", unit="year"), "unit is one of second, minute"),
    (
        CheckData,
        checked("missing", column="a", metric="share"),
        "metric is count or percent, not 'share'",
    ),
    (CheckData, checked("duplicate"), "duplicate needs columns, as in columns: [order_id]"),
    (CheckData, checked("duplicate", columns=[1]), "needs columns, as in columns: [order_id]"),
    (CheckData, checked("invalid", column="a"), "invalid needs one of valid_values, valid_min"),
    (
        CheckData,
        checked("invalid", column="a", valid_values=[]),
        "valid_values is a list of at least one value",
    ),
    (
        CheckData,
        checked("invalid", column="a", valid_values="x"),
        "valid_values is a list of at least one value",
    ),
    (
        CheckData,
        checked("invalid", column="a", valid_reference_data="id"),
        "valid_reference_data is a table with its column: dwh.customer.id",
    ),
    (
        CheckData,
        checked("aggregate", column="a", function="median"),
        "function is one of sum, avg, min, max, count, count_distinct",
    ),
    (CheckData, checked("failed_rows"), "failed_rows takes either a query or an expression"),
    (
        CheckData,
        checked("failed_rows", query="S", expression="a"),
        "failed_rows takes either a query or an expression",
    ),
    (CheckData, checked("schema", columns=[]), "schema needs columns, as in columns: {id: bigint"),
    (CheckData, checked("schema", columns="a"), "schema needs columns, as in columns: {id: bigint"),
    (
        CheckData,
        checked("metric", name="m", expression="1", deviation={"runs": 0}),
        "deviation takes runs (1 to 1000) and a bound",
    ),
    (
        CheckData,
        checked("metric", name="m", expression="1", deviation={"runs": 1001}),
        "deviation takes runs (1 to 1000) and a bound",
    ),
    (
        CheckData,
        checked("metric", name="m", expression="1", deviation={"runs": True}),
        "deviation takes runs (1 to 1000) and a bound",
    ),
    (
        CheckData,
        checked("metric", name="m", expression="1", deviation=14),
        "deviation takes runs (1 to 1000) and a bound",
    ),
    (
        CheckData,
        checked("metric", name="m", expression="1", deviation={"runs": 1}),
        "metric: deviation needs a bound",
    ),
    (CheckData, checked("metric", name="m", expression="1"), "metric needs a bound"),
    (
        CheckData,
        checked("compare", connection="c", table="u", query="S"),
        "compare takes either a table or a query",
    ),
    (
        CheckData,
        checked("compare", connection="c", metric="sum"),
        "metric is count or checksum, not 'sum'",
    ),
    (CheckData, checked("row_count", must_be_between=[1]), "takes two numbers, as in [10, 90]"),
    (CheckData, checked("row_count", must_be_between=3), "takes two numbers, as in [10, 90]"),
    (
        CheckData,
        checked("row_count", must_be_between=[2, 1]),
        "must_be_between has its greater number first: [2, 1]",
    ),
    (CheckData, checked("row_count", must_be="30%"), "must_be takes a number, not '30%'"),
    (CheckData, checked("row_count", must_be=True), "must_be takes a number, not True"),
    (
        CheckData,
        checked("missing", column="a", metric="percent", must_be="many"),
        "must_be takes a number or a share such as 30%, not 'many'",
    ),
    (
        CheckData,
        {"table": "t", "not_null": ["a"], "store_failures": {"table": "f", "rows": 1}},
        "store_failures takes a table, and a limit",
    ),
    (
        CheckData,
        {"table": "t", "not_null": ["a"], "store_failures": {"limit": 1}},
        "store_failures takes a table, and a limit",
    ),
    (
        CheckData,
        {"table": "t", "not_null": ["a"], "store_failures": {"table": "f", "limit": 0}},
        "the limit of store_failures is 1 to 10000, not 0",
    ),
    (
        CheckData,
        {"table": "t", "not_null": ["a"], "store_failures": {"table": "f", "limit": 10001}},
        "the limit of store_failures is 1 to 10000, not 10001",
    ),
    (
        CheckData,
        {"table": "t", "not_null": ["a"], "store_failures": {"table": "f", "limit": True}},
        "the limit of store_failures is 1 to 10000, not True",
    ),
]


@pytest.mark.parametrize(("job", "with_", "told"), REFUSED)
def test_a_parameter_that_means_nothing_is_refused_by_its_name(job, with_, told):
    with pytest.raises(InvalidPayload) as refused:
        job(**with_)

    assert told in str(refused.value)


TAKEN = [
    (AnalyzeTable, {"table": "t", "columns": ["a"], "lock_timeout": "10s"}),
    (AnalyzeTable, {"schema": "s"}),
    (VacuumTable, {"table": "t", "min_dead": 1, "min_age": 1}),
    (VacuumTable, {"schema": "s", "min_dead": " 20% "}),
    (RebuildIndex, {"table": "t", "min_bloat": "100%"}),
    (RebuildIndex, {"schema": "s", "min_bloat": " 0.5 %"}),
    (ArchiveRows, {**ARCHIVE, "limit": 1}),
    (ArchiveRows, {**ARCHIVE, "batch_size": 1, "batch_limit": 1, "wait": "1s", "vacuum": True}),
    (ArchiveRows, {**ARCHIVE, "into": "t", "target_connection": "other"}),
    (ArchiveRows, {**ARCHIVE, "checks": ROWS, "limit": 5, "children": {"u": "t_id"}}),
    (ArchiveRows, {**ARCHIVE, "keep_rows": True, "target_connection": "other"}),
    (ArchiveRows, {**ARCHIVE, "keep_rows": True, "limit": 5}),
    (ArchiveRows, {**ARCHIVE, "partitions": "detach", "batch_limit": 5}),
    (ArchiveRows, {**FILES, "batch_size": 5}),
    (ArchiveRows, {**FILES, "path": "a.jsonl.zst"}),
    (CreatePartitions, {"table": "t", "interval": 1, "premake": 0}),
    (CreatePartitions, {"table": "t", "interval": "day", "premake": 1000}),
    (DetachPartitions, {"table": "t", "retention": 0, "limit": 1, "retention_schema": "s"}),
    (DetachPartitions, {"table": "t", "retention": "7 years", "retention_keep_table": False}),
    (DataAggregation, {**TOTALS, "into": "u", "expect": {"rows": 1}, "checks": ROWS}),
    (DataAggregation, {**TOTALS, "into": "u", "on_schema_change": "recreate"}),
    (
        DataAggregation,
        {**TOTALS, "into": "u", "refresh": "changed", "incremental": {"cursor": "c"}},
    ),
    (RunSql, {"sql": "SELECT 1", "keep_rows": 0, "transaction": False}),
    (RunSql, {"sql": "SELECT 1", "into": "v", "materialized": "view", "checks": ROWS}),
    (
        RunSql,
        {
            "sql": "SELECT 1",
            "into": "v",
            "materialized": "materialized_view",
            "expect": {"rows": "1..5"},
        },
    ),
    (RunSql, {"sql": "SELECT 1", "into": "t", "expect": {"max_delete": "100%"}}),
    (ShellCommand, {"command": "true"}),
    (ExportQuery, {"path": "x.parquet", "sql": "S", "compression": "zst"}),
    (ExportQuery, {"path": "x.tsv", "sql": "S", "bom": True, "null": "-"}),
    (ExportQuery, {"path": "x", "sql": "S", "split": {"rows": 1}}),
    (LoadFile, {**LOADED, "skip_lines": 0, "thousands": "\u00a0", "decimal": ","}),
    (LoadFile, {**LOADED, "quote": "'", "escape": "\\", "comment": "#"}),
    (LoadFile, {**LOADED, "mode": "insert_only", "dedup_sort": {"a": "asc"}, "primary_key": "b"}),
    (LoadFile, {**LOADED, "mode": "replace", "on_schema_change": "recreate"}),
    (LoadFile, {**LOADED, "infer_types": True, "create": True, "select": ["-a", "b as c"]}),
    (HttpExtract, {**ASKED, "max_mb": 1, "rate_limit": "1/h", "max_wait": "0s"}),
    (HttpExtract, {**ASKED, "format": "jsonl", "paginator": {"type": "header_link"}}),
    (HttpExtract, {**ASKED, "paginator": {"type": "offset", "limit": 1, "max_pages": 1}}),
    (HttpExtract, {**ASKED, "method": "POST", "body": {}, "auth": {**AUTH, "scope": "read"}}),
    (
        HttpExtract,
        {
            **ASKED,
            "method": "POST",
            "paginator": {"type": "cursor", "cursor_path": "a", "cursor_body_path": "b"},
        },
    ),
    (
        HttpExtract,
        {**ASKED, "mode": "insert_only", "incremental": {"cursor": "c", "start_param": "s"}},
    ),
    (MirrorTable, {**MIRRORED, "replace_strategy": "swap"}),
    (MirrorTable, {**MIRRORED, "mask": {"a": "partial:4", "b": {"constant": 1}, "c": "null"}}),
    (MirrorTable, {**MIRRORED, "mask": {"a": "hash"}, "mask_salt": {"env": "SALT"}}),
    (MirrorTable, {**SEVERAL, "jobs": 16, "split_tables_larger_than": "1GB"}),
    (MirrorTable, {**SEVERAL, "jobs": 1, "tables": ["public.*", "!public.a"]}),
    (SyncTable, {**SYNCED, "columns": ["a", "id"], "update_columns": ["a"]}),
    (SyncTable, {**SYNCED, "delete": True, "expect": {"rows": 1}, "checks": ROWS}),
    (SyncTable, {**SYNCED, "chunk_size": 1, "incremental": {"cursor": "c", "lag": 0}}),
    (SyncTable, {**SYNCED, "chunk_size": 1, "merge_strategy": "delete_insert"}),
    (SyncTable, {**SYNCED, "merge_strategy": "scd2", "scd2": {"hard_deletes": "invalidate"}}),
    (CheckData, {"table": "t", "max_rows": 0}),
    (CheckData, checked("row_count", must_be_between=[1, 1], level="warn", name="n", filter="a")),
    (CheckData, checked("missing", column="a", metric="percent", must_be_less_than="0.5 %")),
    (CheckData, checked("metric", name="m", expression="1", deviation={"must_be": 1, "runs": 1})),
    (
        CheckData,
        checked("metric", name="m", expression="1", deviation={"must_be": 1, "runs": 1000}),
    ),
    (CheckData, {"sql": "S", "store_failures": {"table": "f", "limit": 10000}}),
    (CheckData, {"sql": "S", "store_failures": {"table": "f", "limit": 1}}),
]


@pytest.mark.parametrize(("job", "with_"), TAKEN)
def test_what_stands_at_its_bound_or_beside_what_it_needs_is_taken(job, with_):
    assert job(**with_).payload == with_
