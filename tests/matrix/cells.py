"""What the matrix runs in each place: one step a job, and what everybody must see afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.matrix.places import NAMES, Place

# Characters that LATIN1 has, a number that a float has not, a time without a zone.
ORDERS = """
CREATE TABLE {schema}.orders (
    id integer PRIMARY KEY, name text NOT NULL, amount numeric(24,4), at timestamptz, day date
);
CREATE INDEX orders_day ON {schema}.orders (day);
INSERT INTO {schema}.orders VALUES
    (1, 'José', 12345678901234567.8901, '2026-07-01 00:30', '2026-06-30'),
    (2, 'Ann', -0.5, NULL, '2026-07-01'),
    (3, 'Zoë', 7, '2026-07-02 12:00', '2026-07-02');
"""
ZONED = ORDERS.replace("'2026-07-01 00:30'", "'2026-07-01 00:30+02'").replace("12:00", "12:00+00")
FIRST = "12345678901234567.8901"


@dataclass(frozen=True, slots=True)
class Cell:
    """One job in one place. `with_` and the queries may hold `{schema}`.

    `sees` are queries with the rows that they return afterwards, run as the place's role by
    psql's means. `target` is where a copy goes, by default the place itself.
    """

    with_: Mapping[str, Any]
    sees: Mapping[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    prepare: str = ORDERS
    result: Mapping[str, Any] | None = None
    status: str = "completed"
    error: str = ""
    logs: str = ""
    exported: str | None = None
    target_prepare: str = ""


def _run_sql(place: Place) -> Cell:
    sql = (
        "insert into {schema}.orders (id, name, at) values (4, 'Añe', '2026-07-01 00:30');"
        " select name, amount::text as amount, at::text as at from {schema}.orders"
        " where id = {{{{ params.id }}}}"
    )
    row = {"name": "José", "amount": FIRST, "at": f"2026-07-01 00:30:00{place.offset}"}
    return Cell(
        {"sql": sql, "params": {"id": 1}},
        {"SELECT name, at::text FROM {schema}.orders WHERE id = 4":
            [("Añe", f"2026-07-01 00:30:00{place.offset}")]},
        result={"row_count": 1, "rows": [row]},
        logs="Running",
    )  # fmt: skip


def _run_sql_into(place: Place) -> Cell:
    return Cell(
        {"sql": "select name, amount, at from {schema}.orders where id < 3",
         "into": "{schema}.picked", "checks": [{"row_count": {"must_be": 2}}]},
        {"SELECT name, amount::text, at::text FROM {schema}.picked ORDER BY name": [
            ("Ann", "-0.5000", None), ("José", FIRST, f"2026-07-01 00:30:00{place.offset}")]},
        result={"row_count": 2},
    )  # fmt: skip


def _run_sql_view(place: Place) -> Cell:
    return Cell(
        {"sql": "select name, at from {schema}.orders where id = {{{{ params.id }}}}",
         "params": {"id": 1}, "into": "{schema}.first", "materialized": "view",
         "checks": [{"row_count": {"must_be": 1}}]},
        {"SELECT name, at::text FROM {schema}.first":
            [("José", f"2026-07-01 00:30:00{place.offset}")]},
        result={"materialized": "view"},
    )  # fmt: skip


def _run_sql_materialized(_place: Place) -> Cell:
    there = (
        "CREATE MATERIALIZED VIEW {schema}.some AS SELECT id FROM {schema}.orders;"
        " CREATE UNIQUE INDEX some_id ON {schema}.some (id);"
    )
    indexes = (
        "SELECT indexname FROM pg_indexes WHERE tablename = 'some' AND schemaname = '{schema}'"
    )
    return Cell(
        {"sql": "select id from {schema}.orders where id > 1", "into": "{schema}.some",
         "materialized": "materialized_view", "expect": {"rows": 2}},
        {"SELECT id FROM {schema}.some ORDER BY 1": [(2,), (3,)], indexes: [("some_id",)]},
        prepare=ORDERS + there,
        result={"row_count": 2},
    )  # fmt: skip


def _populate(place: Place) -> Cell:
    return Cell(
        {"sql_path": "sql/populate_{schema}.sql",
         "checks": [{"row_count": {"table": "{schema}.made", "must_be": 1}}]},
        {"SELECT who, at::text FROM {schema}.made":
            [("Ñandú", f"2026-07-01 00:30:00{place.offset}")]},
        prepare="",
    )  # fmt: skip


def _aggregate(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.orders", "group_by": "day",
         "aggregates": {"total": "sum(amount)"}, "into": "{schema}.totals",
         "checks": [{"missing": {"column": "day"}}]},
        {"SELECT day::text, total::text FROM {schema}.totals ORDER BY day": [
            ("2026-06-30", FIRST), ("2026-07-01", "-0.5000"), ("2026-07-02", "7.0000")]},
        result={"groups": 3},
    )  # fmt: skip


def _aggregate_changed(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.orders", "group_by": "day", "refresh": "changed",
         "aggregates": {"total": "sum(amount)"}, "into": "{schema}.totals"},
        {"SELECT day::text, total::text, note FROM {schema}.totals ORDER BY day": [
            ("2026-06-30", FIRST, "José"), ("2026-07-01", "-0.5000", None),
            ("2026-07-02", "7.0000", None)]},
        prepare=ORDERS + "CREATE TABLE {schema}.totals (day date PRIMARY KEY, total numeric(24,4),"
        " note text); INSERT INTO {schema}.totals VALUES ('2026-06-30', 5, 'José'),"
        " ('2026-07-02', 7, NULL), ('2020-01-01', 1, 'gone');",
        result={"groups": 3, "inserted": 1, "updated": 1, "deleted": 1},
    )  # fmt: skip


def _truncate(_place: Place) -> Cell:
    return Cell({"table": "{schema}.orders"}, {"SELECT count(*) FROM {schema}.orders": [(0,)]})


def _drop(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.orders"}, {"SELECT to_regclass('{schema}.orders')::text": [(None,)]}
    )


def _load(place: Place) -> Cell:
    return Cell(
        {"path": "data/orders.csv", "table": "{schema}.orders"},
        {"SELECT name, amount::text, at::text FROM {schema}.orders WHERE id = 4":
            [("Señor", FIRST, f"2026-07-01 00:30:00{place.offset}")]},
        result={"row_count": 2},
        logs="Load",
    )  # fmt: skip


def _load_replace(_place: Place) -> Cell:
    return Cell(
        {"path": "data/orders.csv", "table": "{schema}.orders", "mode": "replace"},
        {"SELECT id, name FROM {schema}.orders ORDER BY id": [(4, "Señor"), (5, "Ö")]},
        result={"row_count": 2},
    )


def _load_merge(_place: Place) -> Cell:
    return Cell(
        {"path": "data/changes.csv", "table": "{schema}.orders", "mode": "merge",
         "dedup_sort": {"day": "desc"}, "on_schema_change": "append_new_columns",
         "expect": {"rows": "=4"}},
        {"SELECT id, name, day::text, note FROM {schema}.orders ORDER BY id": [
            (1, "José", "2026-06-30", None), (2, "Ånn", "2026-08-02", "new"),
            (3, "Zoë", "2026-07-02", None), (4, "Señor", None, "")]},
        result={"row_count": 4, "inserted": 1, "updated": 1, "duplicates": 2},
    )  # fmt: skip


def _load_too_few(_place: Place) -> Cell:
    return Cell(
        {"path": "data/orders.csv", "table": "{schema}.orders", "mode": "replace",
         "expect": {"max_delete": "50%"}},
        {"SELECT count(*) FROM {schema}.orders": [(3,)]},
        status="failed",
        error="3 of the 3 rows",
    )  # fmt: skip


def _load_folder(place: Place) -> Cell:
    # Where a DBA has made the schema `headrace`, its role makes no table there.
    return Cell(
        {"path": "inbox/**/*", "table": "{schema}.orders", "new_files_only": place.name != "dba",
         "metadata": ["_file", "_line"], "select": ["-secret"]},
        {"SELECT id, name, amount::text, _file, _line FROM {schema}.orders WHERE id > 3"
         " ORDER BY id":
            [(4, "Señor", "1.5000", "inbox/a.parquet", 1), (5, "Ö", FIRST, "inbox/b/c.csv.gz", 3)]},
        result={"row_count": 2, "files": 2},
    )  # fmt: skip


def _load_lines(_place: Place) -> Cell:
    return Cell(
        {"path": "data/orders.jsonl", "table": "{schema}.orders", "format": "jsonl"},
        {"SELECT id, name, amount::text FROM {schema}.orders WHERE id > 3 ORDER BY id":
            [(4, "Señor", FIRST), (5, "Ö", "0.5000")]},
        result={"row_count": 2},
    )  # fmt: skip


def _export(_place: Place) -> Cell:
    return Cell(
        {"sql": "select id, name, amount from {schema}.orders order by id",
         "path": "{schema}.csv"},
        exported=f"id,name,amount\n1,José,{FIRST}\n2,Ann,-0.5000\n3,Zoë,7.0000\n",
        result={"row_count": 3},
    )  # fmt: skip


def _export_split(_place: Place) -> Cell:
    return Cell(
        {"sql": "select id, name, amount, day from {schema}.orders order by id",
         "path": "split/{schema}.parquet", "split": {"by": "day"}},
        result={"row_count": 3, "files": 3},
    )  # fmt: skip


def _check(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.orders", "not_null": ["name"], "unique": ["id"], "min_rows": 3},
        result={"checks": 3, "warnings": 0},
    )


def _check_all(_place: Place) -> Cell:
    """Every kind of check on one connection; what fails is kept, though the job fails."""
    checks: list[dict[str, Any]] = [
        {"row_count": {"must_be_between": [1, 2]}},
        {"freshness": {"column": "day", "unit": "day", "must_be_greater_than": 1}},
        {"missing": {"column": "at", "metric": "percent", "must_be_less_than": "60%"}},
        {"duplicate": {"columns": ["id", "name"]}},
        {"invalid": {"column": "name", "valid_values": ["José", "Ann"]}},
        {"invalid": {"column": "amount", "valid_min": 0, "level": "warn"}},
        {"aggregate": {"column": "amount", "function": "min", "must_be": -0.5}},
        {"schema": {"columns": {"id": "int4", "amount": "numeric(24,4)", "at": "timestamptz"},
                    "allow_extra_columns": True}},
        {"metric": {"name": "least", "expression": "min(amount)", "deviation":
                    {"must_be_less_than": "30%"}}},
        {"failed_rows": {"expression": "day > {{{{ run.date }}}}", "filter": "true"}},
    ]  # fmt: skip
    return Cell(
        {"table": "{schema}.orders", "filter": "day < '{{{{ run.date }}}}' and id < 3",
         "checks": checks, "store_failures": {"table": "{schema}.failure", "limit": 10}},
        {"SELECT check_name, key::text, level FROM {schema}.failure":
            [("invalid amount of {schema}.orders", '{{"id": 2}}', "warn")]},
        result={"checks": 10, "warnings": 1},
        logs="warned: invalid amount",
    )  # fmt: skip


def _check_compare(_place: Place) -> Cell:
    """The same rows in two places: by number, and by checksum whatever zone and encoding."""
    compare = {"connection": "{target}", "table": "{schema}.orders"}
    checks = [
        {"compare": compare},
        {"compare": {**compare, "metric": "checksum"}},
        {"compare": {"connection": "{target}", "metric": "checksum", "level": "warn",
                     "query": "select * from {schema}.orders where id < 3"}},
    ]  # fmt: skip
    return Cell(
        {"table": "{schema}.orders", "checks": checks},
        prepare=ZONED,
        target_prepare="DROP TABLE IF EXISTS {schema}.orders;" + ZONED,
        result={"checks": 3, "warnings": 1},
    )


def _check_fails(_place: Place) -> Cell:
    return Cell(
        {"sql": "select id, name from {schema}.orders where id = 1"},
        status="failed",
        error="José",
    )


def _archive(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.orders", "into": "{schema}.old", "column": "day",
         "before": "2026-07-02"},
        {"SELECT id, name, amount::text FROM {schema}.old ORDER BY id":
            [(1, "José", FIRST), (2, "Ann", "-0.5000")],
         "SELECT id FROM {schema}.orders": [(3,)]},
        result={"row_count": 2},
    )  # fmt: skip


def _archive_batches(_place: Place) -> Cell:
    """In batches of one, with the lines of each order, for orders of a condition."""
    lines = (
        "CREATE TABLE {schema}.lines (order_id integer REFERENCES {schema}.orders"
        " ON DELETE CASCADE, n integer);"
        " INSERT INTO {schema}.lines VALUES (1, 10), (1, 11), (3, 30);"
    )
    return Cell(
        {"table": "{schema}.orders", "into": "{schema}_old.orders", "column": "day",
         "before": "{{{{ run.date }}}}", "where": "name <> 'Zoë'", "batch_size": 1,
         "children": {"{schema}.lines": "order_id"}, "lock_wait": "1s", "verify": "checksum",
         "vacuum": "analyze"},
        {"SELECT id, name, amount::text FROM {schema}_old.orders ORDER BY id":
            [(1, "José", FIRST), (2, "Ann", "-0.5000")],
         "SELECT n FROM {schema}_old.lines ORDER BY n": [(10,), (11,)],
         "SELECT id, n FROM {schema}.orders, {schema}.lines": [(3, 30)]},
        prepare=ORDERS + lines,
        result={"row_count": 2, "batches": 2, "left": 0, "children": {"{schema}.lines": 2}},
        logs="Batch 2: 1 row, 2 so far",
    )  # fmt: skip


def _archive_files(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.orders", "path": "old/{schema}.parquet", "column": "day",
         "before": "2026-07-02", "batch_size": 1},
        {"SELECT id FROM {schema}.orders": [(3,)]},
        result={"row_count": 2, "files": 2, "path": "old/{schema}.parquet"},
    )  # fmt: skip


def _archive_across(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.orders", "into": "{schema}.old", "column": "day",
         "before": "2026-07-02", "batch_size": 1},
        {"SELECT id, name, amount::text FROM {schema}.old ORDER BY id":
            [(1, "José", FIRST), (2, "Ann", "-0.5000")],
         "SELECT at = '2026-07-01 00:30{source_offset}'::timestamptz FROM {schema}.old"
         " WHERE id = 1": [(True,)]},
        result={"row_count": 2, "batches": 2},
    )  # fmt: skip


def _vacuum(_place: Place) -> Cell:
    seen = "SELECT reltuples::integer FROM pg_class WHERE oid = '{schema}.orders'::regclass"
    return Cell({"table": "{schema}.orders"}, {seen: [(3,)]}, logs="Vacuum")


def _vacuum_schema(_place: Place) -> Cell:
    """Of two tables the one with dead rows; what PostgreSQL counts is there once they are gone."""
    more = "CREATE TABLE {schema}.clean (n integer); INSERT INTO {schema}.clean VALUES (1);"
    return Cell(
        {"schema": "{schema}", "min_age": 2000000000},
        {"SELECT count(*) FROM {schema}.clean": [(1,)]},
        prepare=ORDERS + more,
        result={"tables": []},
        logs="no table needs it",
    )


def _analyze(_place: Place) -> Cell:
    seen = "SELECT reltuples::integer FROM pg_class WHERE oid = '{schema}.orders'::regclass"
    return Cell({"schema": "{schema}"}, {seen: [(3,)]}, result={"tables": ["{schema}.orders"]})


def _refresh(_place: Place) -> Cell:
    view = (
        "CREATE MATERIALIZED VIEW {schema}.names AS SELECT id, name FROM {schema}.orders;"
        " CREATE UNIQUE INDEX ON {schema}.names (id);"
        " DELETE FROM {schema}.orders WHERE id = 1;"
    )
    return Cell(
        {"view": "{schema}.names", "checks": [{"row_count": {"must_be": 2}}]},
        {"SELECT name FROM {schema}.names ORDER BY 1": [("Ann",), ("Zoë",)]},
        prepare=ORDERS + view,
        result={"row_count": 2, "concurrently": True, "checks": 1},
    )


def _rebuild(_place: Place) -> Cell:
    before = "CREATE TABLE {schema}.before AS SELECT pg_relation_filenode('{schema}.orders_day') n;"
    rebuilt = (
        "SELECT n <> pg_relation_filenode('{schema}.orders_day'), indisvalid"
        " FROM {schema}.before, pg_index WHERE indexrelid = '{schema}.orders_day'::regclass"
    )
    left = (
        "SELECT count(*) FROM pg_index WHERE indrelid = '{schema}.orders'::regclass"
        " AND NOT indisvalid"
    )
    return Cell(
        {"index": "{schema}.orders_day"},
        {rebuilt: [(True, True)], left: [(0,)]},
        prepare=ORDERS + before,
    )


_EVENTS = """
CREATE TABLE {schema}.event (day date, n integer) PARTITION BY RANGE (day);
CREATE TABLE {schema}.rest PARTITION OF {schema}.event DEFAULT;
INSERT INTO {schema}.event VALUES ('2026-01-31', 1), ('2026-02-28', 2), ('1999-12-31', 3);
"""


def _rebuild_schema(_place: Place) -> Cell:
    return Cell(
        {"schema": "{schema}", "min_bloat": "90%"},
        {"SELECT count(*) FROM {schema}.orders": [(3,)]},
        result={"indexes": []},
        logs="cannot be estimated",
    )


def _create_partitions(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.event", "interval": "year", "start": "2026-01-01", "premake": 0,
         "move_default_rows": True},
        {"SELECT n FROM {schema}.event_p20260101 ORDER BY n": [(1,), (2,)],
         "SELECT n FROM {schema}.rest": [(3,)]},
        prepare=_EVENTS,
        result={"default_rows": 1},
        logs="Moved 2 rows",
    )  # fmt: skip


_OLD_PARTITION = """
CREATE TABLE {schema}.old PARTITION OF {schema}.event
    FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
INSERT INTO {schema}.event VALUES ('2000-06-01', 4);
"""


def _archive_partitions(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.event", "column": "day", "older_than": "700d", "partitions": "detach",
         "into": "{schema}.gone"},
        {"SELECT n FROM {schema}.gone": [(4,)],
         "SELECT inhparent = '{schema}.gone'::regclass FROM pg_inherits"
         " WHERE inhrelid = '{schema}.old'::regclass": [(True,)],
         "SELECT n FROM {schema}.event ORDER BY n": [(1,), (2,), (3,)]},
        prepare=_EVENTS + _OLD_PARTITION,
        result={"row_count": 1, "partitions": ["{schema}.old"]},
    )  # fmt: skip


def _detach_partitions(_place: Place) -> Cell:
    return Cell(
        {"table": "{schema}.event", "retention": "2 years"},
        {"SELECT n FROM {schema}.old": [(4,)],
         "SELECT n FROM {schema}.event ORDER BY n": [(1,), (2,), (3,)]},
        prepare=_EVENTS + _OLD_PARTITION,
        result={"detached": ["{schema}.old"], "kept": 0},
    )  # fmt: skip


def _slow(_place: Place) -> Cell:
    return Cell({"duration": 0.1}, prepare="")


def _http(place: Place) -> Cell:
    return Cell(
        {"url": "{http}/orders", "into": "{schema}.orders",
         "columns": ["id", "name", "amount", "at"], "checks": [{"row_count": {"must_be": 4}}]},
        {"SELECT id, name, amount::text, at::text FROM {schema}.orders WHERE id > 3": [
            (4, "Señor", FIRST, f"2026-07-01 00:30:00{place.offset}")]},
        result={"row_count": 1},
    )  # fmt: skip


def _http_pages(place: Place) -> Cell:
    # Where a DBA has made the schema `headrace`, its role makes no table there.
    since = {"cursor": "at", "start_param": "since", "initial_value": "2026-07-01T00:00:00Z"}
    return Cell(
        {"url": "{http}/pages", "into": "{schema}.orders", "columns": ["id", "name", "at"],
         "mode": "merge", "paginator": {"type": "header_link"}, "rate_limit": "100/s"}
        | ({} if place.name == "dba" else {"incremental": since}),
        {"SELECT id, name FROM {schema}.orders ORDER BY id":
            [(1, "José"), (2, "Änn"), (3, "Zoë"), (4, "Señor")]},
        result={"row_count": 2, "pages": 2, "updated": 1, "inserted": 1},
    )  # fmt: skip


def _mirror(_place: Place) -> Cell:
    return Cell(
        {"source_table": "{schema}.orders", "target_table": "{schema}.copy"},
        {"SELECT id, name, amount::text, day::text FROM {schema}.copy ORDER BY id": _COPIED,
         _SAME_INSTANT: [(True,)]},
        target_prepare=_COPY_OF_OTHERS,
        result={"row_count": 3},
    )  # fmt: skip


def _mirror_swap(_place: Place) -> Cell:
    return Cell(
        {"source_table": "{schema}.orders", "target_table": "{schema}.copy",
         "replace_strategy": "swap"},
        {"SELECT id, name, amount::text, day::text FROM {schema}.copy ORDER BY id": _COPIED,
         _SAME_INSTANT: [(True,)],
         "SELECT conname FROM pg_constraint WHERE contype = 'p'"
         " AND conrelid = '{schema}.copy'::regclass": [("copy_pkey",)]},
        target_prepare=_COPY_OF_OTHERS,
        result={"row_count": 3},
    )  # fmt: skip


def _mirror_several(_place: Place) -> Cell:
    return Cell(
        {"tables": ["{schema}.*"], "target_schema": "{schema}_copy", "verify": "checksum"},
        {"SELECT o.id, name, day::text, note FROM {schema}_copy.orders AS o"
         " LEFT JOIN {schema}_copy.notes AS n ON n.id = o.id ORDER BY 1": [
            (1, "José", "2026-06-30", "né"), (2, "Ann", "2026-07-01", None),
            (3, "Zoë", "2026-07-02", None)],
         "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
         " AND conrelid = '{schema}_copy.notes'::regclass": [(1,)]},
        prepare=ORDERS + "CREATE TABLE {schema}.notes (id integer REFERENCES {schema}.orders,"
        " note text); INSERT INTO {schema}.notes VALUES (1, 'né');",
        result={"row_count": 4},
    )  # fmt: skip


def _sync(_place: Place) -> Cell:
    return Cell(
        {"source_table": "{schema}.orders", "target_table": "{schema}.copy", "key": "id",
         "delete": True},
        {"SELECT id, name, amount::text, day::text FROM {schema}.copy ORDER BY id": _COPIED,
         _SAME_INSTANT: [(True,)]},
        target_prepare=_COPY_OF_OTHERS,
        result={"inserted": 2, "updated": 1, "deleted": 1},
    )  # fmt: skip


_COPIED = [
    (1, "José", FIRST, "2026-06-30"),
    (2, "Ann", "-0.5000", "2026-07-01"),
    (3, "Zoë", "7.0000", "2026-07-02"),
]
_SAME_INSTANT = (
    "SELECT at = '2026-07-01 00:30{source_offset}'::timestamptz FROM {schema}.copy WHERE id = 1"
)
# The application's table: a key, an identity, an extra column and a right of its own.
_COPY_OF_OTHERS = """
CREATE TABLE {schema}.copy (
    id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    name text NOT NULL, amount numeric(24,4), at timestamptz, day date
);
INSERT INTO {schema}.copy VALUES (1, 'old', 1, NULL, NULL), (9, 'gone', 1, NULL, NULL);
"""

CELLS: dict[str, tuple[str, Callable[[Place], Cell]]] = {
    "run_sql": ("RunSql", _run_sql),
    "run_sql_into": ("RunSql", _run_sql_into),
    "run_sql_view": ("RunSql", _run_sql_view),
    "run_sql_materialized": ("RunSql", _run_sql_materialized),
    "populate": ("PopulateRecords", _populate),
    "aggregate": ("DataAggregation", _aggregate),
    "aggregate_changed": ("DataAggregation", _aggregate_changed),
    "truncate": ("TruncateTable", _truncate),
    "drop": ("DropTable", _drop),
    "load": ("LoadFile", _load),
    "load_replace": ("LoadFile", _load_replace),
    "load_merge": ("LoadFile", _load_merge),
    "load_too_few": ("LoadFile", _load_too_few),
    "load_folder": ("LoadFile", _load_folder),
    "load_lines": ("LoadFile", _load_lines),
    "export": ("ExportQuery", _export),
    "export_split": ("ExportQuery", _export_split),
    "check": ("CheckData", _check),
    "check_all": ("CheckData", _check_all),
    "check_fails": ("CheckData", _check_fails),
    "archive": ("ArchiveRows", _archive),
    "archive_batches": ("ArchiveRows", _archive_batches),
    "archive_files": ("ArchiveRows", _archive_files),
    "archive_partitions": ("ArchiveRows", _archive_partitions),
    "vacuum": ("VacuumTable", _vacuum),
    "vacuum_schema": ("VacuumTable", _vacuum_schema),
    "analyze": ("AnalyzeTable", _analyze),
    "refresh": ("RefreshView", _refresh),
    "rebuild": ("RebuildIndex", _rebuild),
    "rebuild_schema": ("RebuildIndex", _rebuild_schema),
    "create_partitions": ("CreatePartitions", _create_partitions),
    "detach_partitions": ("DetachPartitions", _detach_partitions),
    "slow": ("SlowQuery", _slow),
    "http": ("HttpExtract", _http),
    "http_pages": ("HttpExtract", _http_pages),
}
"""Kind of cell → job class, and the cell in a place."""

COPIES: dict[str, tuple[str, Callable[[Place], Cell]]] = {
    "mirror": ("MirrorTable", _mirror),
    "mirror_swap": ("MirrorTable", _mirror_swap),
    "mirror_several": ("MirrorTable", _mirror_several),
    "sync": ("SyncTable", _sync),
    "compare": ("CheckData", _check_compare),
    "archive_across": ("ArchiveRows", _archive_across),
}

NO_DATABASE: dict[str, dict[str, Any]] = {
    "ShellCommand": {"command": ["echo", "José"]},
    "Fibonacci": {"n": 10},
    "FailedJob": {},
}
"""Jobs that touch no database: they run once, in no place."""


# Each place is once a source and once a target: what they do in both directions, copies show.
_ROUND = ("compare", "archive_across", "mirror_several", "mirror_swap")


def pairs(kind: str) -> list[tuple[str, str]]:
    """Return source and target of a kind of copy: each place with itself and both neighbours."""
    around = list(zip(NAMES, (*NAMES[1:], NAMES[0]), strict=True))
    if kind in _ROUND:
        return around
    return [(name, name) for name in NAMES] + around + [(b, a) for a, b in around]


def copies() -> list[tuple[str, str, str]]:
    """Return each kind of copy with source and target."""
    return [(kind, *pair) for kind in COPIES for pair in pairs(kind)]
