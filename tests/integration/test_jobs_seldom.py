"""What jobs meet seldom: each is told in its own words, and nothing is written.

All cases share two databases: whatever fails is rolled back, and whatever succeeds only reads.
"""

import datetime
import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pytest
from sqlalchemy import Engine

from headrace.errors import HeadraceError
from headrace.jobapi import Permissions
from headrace.jobs.archive_rows import ArchiveRows
from headrace.jobs.check_data import CheckData
from headrace.jobs.export_query import ExportQuery
from headrace.jobs.load_file import LoadFile
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.refresh_view import RefreshView
from headrace.jobs.run_sql import RunSql
from headrace.jobs.shell_command import ShellCommand
from headrace.jobs.sync_table import SyncTable
from tests.support.attempts import JobRunner, engine_for
from tests.support.servers import create_database, drop_database

HERE = """
CREATE TABLE t
  (id int PRIMARY KEY, a text, at timestamptz, g int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO t VALUES (1, 'one', '2026-01-01 00:00+00'), (2, 'two', '2026-01-02 00:00+00');
CREATE TABLE same AS SELECT id, a FROM t;
CREATE TABLE other AS SELECT id, upper(a) AS a FROM t;
CREATE TABLE fewer AS SELECT id, a FROM t WHERE id = 1;
CREATE TABLE upper (id int, "A" text, a text);
CREATE TABLE numbered (id int, _line int GENERATED ALWAYS AS (1) STORED);
CREATE TABLE holding (id int PRIMARY KEY, a text);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing BEFORE INSERT ON holding FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE bare ();
CREATE VIEW v AS SELECT id FROM t;
CREATE SEQUENCE s;
CREATE SCHEMA a;
CREATE SCHEMA b;
CREATE TABLE a.x (id int);
CREATE TABLE b.x (id int);
CREATE TABLE child (id int PRIMARY KEY, t_id int REFERENCES t);
"""
WORKBOOK = "book.xlsx"
SECONDS = datetime.timedelta(hours=1, seconds=1.5)


def workbook(*sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def engines(servers) -> Iterator[dict[str | None, Engine]]:
    urls = [create_database(servers.database_url) for _ in range(2)]
    here, there = map(engine_for, urls)
    for engine in (here, there):
        with engine.begin() as connection:
            connection.exec_driver_sql(HERE)
    yield {None: here, "there": there}
    for engine, url in zip((here, there), urls, strict=True):
        engine.dispose()
        drop_database(servers.database_url, url)


@pytest.fixture
def run(engines, tmp_path: Path) -> JobRunner:
    return JobRunner(engines, search_path=(tmp_path,), project=tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> SimpleNamespace:
    """Files by their names, written into the folder that is searched."""

    def write(name: str, content: str | bytes) -> str:
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(raw)
        return name

    return SimpleNamespace(write=write, folder=tmp_path)


def check(kind: str, **keys: Any) -> dict[str, Any]:
    return {"table": "t", "checks": [{kind: keys}]}


REFUSED = [
    (
        CheckData,
        check("schema", columns=["a", "id"], allow_extra_columns=True,
              allow_other_column_order=False),
        "the order is id, a",
    ),
    (CheckData, check("schema", columns=["id", "z"]), "z is missing; not expected: a, at, g"),
    (CheckData, check("schema", columns={"id": "text"}, allow_extra_columns=True), "not text"),
    (
        CheckData,
        check("failed_rows", query="DO $$ BEGIN END $$"),
        "failed_rows: DO is no query: write a SELECT whose rows are wrong ones",
    ),
    (CheckData, check("failed_rows", query="SELECT 1; SELECT 2"), "a check must be one query"),
    (CheckData, {"sql": "SELECT 1; SELECT 2"}, "sql: a check must be one query"),
    (
        CheckData,
        check("compare", connection="there", table="fewer"),
        "compare t with there: 1, must be 0 (2 rows here, 1 on there)",
    ),
    (
        CheckData,
        {"table": "same", "checks": [{"compare": {
            "connection": "there", "table": "other", "metric": "checksum"}}]},
        "compare same with there: 1, must be 0 (2 rows here, 2 on there, with other values)",
    ),
    (
        CheckData,
        {"table": "same", "checks": [{"compare": {
            "connection": "there", "table": "fewer", "metric": "checksum"}}]},
        "compare same with there: 1, must be 0 (2 rows here, 1 on there)",
    ),
    (ExportQuery, {"path": "exports/x.csv", "sql": "SELECT"}, "the query has no columns"),
    (
        ExportQuery,
        {"path": "exports/x.csv", "sql": "SELECT 1; SELECT 2"},
        "an export must be one query, not 2 statements",
    ),
    (ExportQuery, {"path": "exports/x.csv", "sql": "-- none"}, "contains no statement"),
    (RunSql, {"sql": " ; "}, "sql: contains no statement"),
    (RefreshView, {"view": "gone"}, "there is no materialized view gone"),
    (MirrorTable, {"source_table": "bare", "target_table": "c"}, "bare has no columns"),
    (MirrorTable, {"source_table": "s", "target_table": "c"}, "s is not a table but a sequence"),
    (
        MirrorTable,
        {"source_table": "t", "target_table": "c", "select": ["id as a"]},
        "t: two columns would be called 'a'",
    ),
    (
        MirrorTable,
        {"source_table": "t", "target_table": "c", "columns": ["id", '"id"']},
        "the column '\"id\"' occurs twice",
    ),
    (
        MirrorTable,
        {"source_table": "t", "target_table": "c", "mask": {"at": "partial:2"}},
        "mask: at is timestamp with time zone, and partial needs a text: take hash, null or",
    ),
    (
        MirrorTable,
        {"tables": ["t"], "target_schema": "public"},
        "public.t would be copied onto itself: name a target_schema, or another",
    ),
    (
        MirrorTable,
        {"tables": ["a.x", "b.x"], "target_schema": "c"},
        "a.x and b.x would both go to c.x: leave one of them out",
    ),
    (
        MirrorTable,
        {"tables": ["a.x", "b.x"], "target_connection": "there", "where": {"x": "true"}},
        "where names x, which several tables are called: write the schema, too",
    ),
    (
        MirrorTable,
        {"tables": ["a.x"], "target_connection": "there", "where": {"b.x": "true"}},
        "where names b.x, which is none of the tables: a.x",
    ),
    (
        MirrorTable,
        {"tables": ["a.*", "!a.x"], "target_connection": "there"},
        "tables leaves out all that it names: nothing is left to copy",
    ),
    (
        MirrorTable,
        {"tables": ["z.*"], "target_connection": "there"},
        '"z.*" of tables means no table of the source',
    ),
    (
        SyncTable,
        {"source_sql": "SELECT", "target_table": "c", "primary_key": "id"},
        "source_sql has no columns: there is nothing to copy",
    ),
    (
        SyncTable,
        {"source_table": "t", "target_table": "other", "primary_key": "z"},
        "t has no key column 'z'",
    ),
    (
        SyncTable,
        {"source_table": "same", "target_table": "fewer", "primary_key": "id",
         "select": ["id as no"], "on_schema_change": "ignore"},
        "no key column 'id'",
    ),
    (
        SyncTable,
        {"source_table": "same", "target_table": "holding", "primary_key": "id",
         "merge_strategy": "delete_insert"},
        "holding took 0 of 2 rows: a trigger or a rule of it keeps the others away",
    ),
    (
        SyncTable,
        {"source_table": "same", "target_table": "holding", "primary_key": "id"},
        "holding did not store 2 of the rows: a trigger rejects them",
    ),
    (
        SyncTable,
        {"source_table": "t", "target_table": "c", "primary_key": "id", "mask": {"at": "null"},
         "incremental": {"cursor": "at"}},
        "at is the cursor of incremental and cannot be masked",
    ),
    (
        SyncTable,
        {"source_table": "v", "target_table": "c", "primary_key": "id",
         "incremental": {"cursor": "id"}},
        "v is a view, whose rows do not tell when they were written",
    ),
    (
        ArchiveRows,
        {"table": "gone", "into": "a", "column": "at", "older_than": "1d"},
        "there is no table gone",
    ),
    (
        ArchiveRows,
        {"table": "t", "into": "c", "column": "no", "older_than": "1d"},
        "t has no column 'no'",
    ),
    (
        ArchiveRows,
        {"table": "t", "into": "c", "column": "a", "older_than": "1d"},
        "t.a is text, which is compared letter by letter or by number, not by time",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("job", "with_", "told"), REFUSED)
def test_what_cannot_be_done_is_told_in_its_own_words(run, job, with_, told):
    with pytest.raises(HeadraceError) as refused:
        run(job, **with_)

    assert told in str(refused.value)


LOADS = [
    ("a,A\n1,2\n", {"table": "same"}, "two names mean the column 'a'"),
    ("_x\n1\n", {"table": "new", "create": True, "select": ["-_x"]}, "created without columns"),
    ("id\n1\n", {"table": "numbered", "metadata": {"line": True}}, "numbered._line is generated"),
    ("id,a\n1,b\n", {"table": "holding", "mode": "merge"}, "holding took 0 of 1 rows"),
]


@pytest.mark.parametrize(("content", "with_", "told"), LOADS[:2])
def test_a_file_that_does_not_fit_its_table_is_told(run, files, content, with_, told):
    path = files.write("in.csv", content)

    with pytest.raises(HeadraceError) as refused:
        run(LoadFile, path=path, **with_)

    assert told in str(refused.value)


BOOKS = [
    ([[]], {}, "the file is empty, a header was expected"),
    ([[["id", "a", "id"]]], {}, "the column 'id' occurs twice"),
    ([[["id", None, "a"]]], {}, "the column 2 has no name"),
    ([[["id"]]], {"sheet": 2}, "has 1 sheets, no number 2"),
    ([[["id"]]], {"sheet": 0}, "has 1 sheets, no number 0"),
    ([[["id"]]], {"sheet": "x"}, "has no sheet 'x'; its sheets: Sheet"),
]


@pytest.mark.parametrize(("sheets", "with_", "told"), BOOKS)
def test_a_workbook_that_does_not_fit_is_told(run, files, sheets, with_, told):
    path = files.write(WORKBOOK, workbook(*sheets))

    with pytest.raises(HeadraceError) as refused:
        run(LoadFile, path=path, table="same", **with_)

    assert told in str(refused.value)


def test_a_broken_workbook_is_told(run, files):
    path = files.write(WORKBOOK, b"\xd0\xcf\x11\xe0 an old workbook")

    with pytest.raises(HeadraceError, match=r"book.xlsx: is no spreadsheet that can be read: "):
        run(LoadFile, path=path, table="same")


def test_a_missing_file_and_an_absolute_pattern_are_told(run, files):
    for path, told in (
        ("gone.csv", "gone.csv"),
        ("/gone/*.csv", 'the path "/gone/*.csv" is absolute: a pattern is relative, too'),
    ):
        with pytest.raises(HeadraceError) as refused:
            run(LoadFile, path=path, table="same")
        assert told in str(refused.value)


def test_two_servers_agree_by_checksum_whatever_the_order_of_columns(run):
    checks = [
        {"compare": {"connection": "there", "table": "same", "metric": "checksum"}},
        {"compare": {"connection": "there", "query": "SELECT id, a FROM same ORDER BY id DESC",
                     "metric": "checksum"}},
        {"compare": {"connection": "there", "query": "SELECT 1 FROM same"}},
    ]  # fmt: skip

    result = run(CheckData, table="same", checks=checks)

    assert [one["verdict"] for one in result["check_results"]] == ["passed"] * 3
    assert result["check_results"][0]["detail"] == "2 rows here, 2 on there"


def test_columns_of_one_name_are_told_apart_in_a_result(run):
    result = run(RunSql, sql='SELECT 1 AS a, 2 AS a, 3 AS "a_2", 4 AS a')

    assert result["rows"] == [{"a": 1, "a_3": 2, "a_2": 3, "a_4": 4}]


def test_a_result_keeps_the_rows_that_fit(run, monkeypatch):
    monkeypatch.setattr("headrace.jobs.sql.query_result.BYTES_KEPT", 50)

    result = run(RunSql, sql="SELECT repeat('x', 30) AS a FROM generate_series(1, 5)")

    assert (result["row_count"], len(result["rows"]), result["truncated"]) == (5, 1, True)


def test_values_that_are_no_dates_in_a_format_are_set_aside(run, files, engines):
    path = files.write("in.csv", "id,at\n1,03.02.2026\n2,oops\n3,\n")
    columns = {"id": "int", "at": {"type": "date", "format": "DD.MM.YYYY"}}

    run(LoadFile, path=path, table="fresh", create=True, columns=columns,
        on_error={"reject_table": "rejected", "limit": 1})  # fmt: skip

    with engines[None].begin() as connection:
        kept = connection.exec_driver_sql("SELECT id, at::text FROM fresh ORDER BY id").all()
        why = connection.exec_driver_sql("SELECT line, column_name, reason FROM rejected").all()
        connection.exec_driver_sql("DROP TABLE fresh; DROP TABLE rejected")
    assert kept == [(1, "2026-02-03"), (3, None)]
    assert why == [(3, "at", "'oops' is not a date written as DD.MM.YYYY")]


def test_a_workbook_brings_spans_and_leaves_formatted_rows_behind(run, files, engines):
    rows: list[list[Any]] = [["n", "span", None], [1, SECONDS], [2.5, None], [None, None], [""]]
    path = files.write(WORKBOOK, workbook(rows))

    result = run(LoadFile, path=path, table="sheet", create=True,
                 columns={"n": "numeric", "span": "interval"})  # fmt: skip

    assert result["row_count"] == 2
    with engines[None].begin() as connection:
        found = connection.exec_driver_sql("SELECT n::text, span::text FROM sheet ORDER BY n")
        assert found.all() == [("1", "01:00:01.5"), ("2.5", None)]
        connection.exec_driver_sql("DROP TABLE sheet")


def test_masked_keys_stay_keys(run, engines, monkeypatch):
    monkeypatch.setenv("SEASONING", "a secret that is long enough")
    with engines[None].begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE secret AS SELECT gen_random_uuid() AS u, 'x'::bytea AS b, 7::smallint AS"
            " s, 7 AS i, 7::bigint AS l, 'abcdef'::varchar(5) AS v, 'abcdef'::text AS p, 'x' AS f"
        )
    run(
        MirrorTable, source_table="secret", target_table="masked", mask_salt={"env": "SEASONING"},
        mask=dict.fromkeys("ubsilv", "hash") | {"p": "partial:4", "f": "fake:phone"},
    )  # fmt: skip
    with engines[None].begin() as connection:
        found = connection.exec_driver_sql(
            "SELECT m.u <> s.u, m.b <> s.b, octet_length(m.b), m.s <> s.s, m.i <> s.i, m.l <> s.l,"
            " m.s >= 0 AND m.i >= 0 AND m.l >= 0, length(m.v), m.p, m.f LIKE '+00%%'"
            " FROM masked m, secret s"
        ).one()
        connection.exec_driver_sql("DROP TABLE masked; DROP TABLE secret")
    assert tuple(found) == (True, True, 32, True, True, True, True, 5, "**cdef", True)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["a\0b"], "the command cannot be started: embedded null byte"),
        ("kill -9 $$", "the command was ended by SIGKILL"),
        ("exit 137", "ended with exit code 137 (a program in it was ended by SIGKILL)"),
        ("exit 128", "ended with exit code 128"),
        ("exit 250", "ended with exit code 250"),
    ],
)
def test_a_command_tells_how_it_ended(run, command, told):
    with pytest.raises(HeadraceError) as refused:
        replace(run, permissions=Permissions(shell_commands=True))(ShellCommand, command=command)

    assert told in str(refused.value)


def test_a_long_copy_tells_how_far_it_is(run, engines, caplog, monkeypatch):
    clock = count(0, 1000).__next__
    monkeypatch.setattr("headrace.jobs.transfer.stream.time", SimpleNamespace(monotonic=clock))
    caplog.set_level("INFO")

    with pytest.raises(HeadraceError, match=r"expect\.rows"):
        run(MirrorTable, source_table="same", target_table="c", source_connection="there",
            expect={"rows": 3})  # fmt: skip

    assert "0 MB copied so far, 0.0 MB/s" in caplog.text


def test_an_export_tells_its_rows_and_files(run, files):
    done = run(ExportQuery, path="exports/x.csv", sql="SELECT id, a FROM same ORDER BY id")

    assert done == {"row_count": 2, "path": "exports/x.csv", "files": 1}
    assert next(files.folder.rglob("x.csv")).read_text(encoding="utf-8") == "id,a\n1,one\n2,two\n"
