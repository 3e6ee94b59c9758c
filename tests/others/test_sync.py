"""SyncTable from and to SQLite, MariaDB and DuckDB."""

import pytest

from headrace.jobs.run_sql import RunSql
from headrace.jobs.sync_table import SyncTable
from tests.others.conftest import NAMES, Place, Places, Runs

TYPED = """
create table typed as
select 1::int2 as small, 2::int4 as whole, 9007199254740993::int8 as id, 1.25::numeric(12,4) as num,
       1.1::float4 as short, 0.1::float8 as long, E'a\\tb\\n\\\\ 😀'::text as txt,
       'ab'::varchar(5) as var, '\\x00ff'::bytea as raw, date '2026-02-03' as day,
       time '12:30:01.5' as clock, timestamp '2026-07-01 00:30:00.123456' as at,
       timestamptz '2026-07-01 00:30+02' as zoned, interval '1 month 2 days' as span,
       '{"a": 1.10}'::jsonb as doc, '00000000-0000-0000-0000-00000000000a'::uuid as key,
       true as yes, array[1,2] as list, null::int as none
"""
# What comes back as another type than it went, by its text.
CHANGED = {
    "sqlite": {"zoned": "2026-06-30 22:30:00"},
    "mysql": {"zoned": "2026-06-30 22:30:00"},
    "duckdb": {},
}


def test_values_of_all_types_come_back_as_the_table_of_types_says(
    run: Runs, there: Place, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    run.query(TYPED)
    run.done(SyncTable, source_table="typed", target_connection="there", target_table="typed",
             primary_key="id")  # fmt: skip
    assert (": times are stored in UTC" in caplog.text) is (there.kind != "duckdb")
    run.done(SyncTable, source_connection="there", source_table="typed", target_table="back",
             primary_key="id")  # fmt: skip

    def texts(table: str) -> dict[str, str]:
        names = [name for (name,) in run.query(
            "select column_name from information_schema.columns where table_name = 'typed'"
            " order by ordinal_position"
        )]  # fmt: skip
        columns = ", ".join(f'"{name}"::text' for name in names)
        (row,) = run.query(f"set timezone = 'UTC'; select {columns} from {table}")
        return dict(zip(names, row, strict=True))

    assert texts("back") == texts("typed") | CHANGED[there.kind]


def test_a_time_after_midnight_and_the_smallest_number_come_back(run: Runs, there: Place):
    run.query("create table src as select 1 as id, time '00:15:00' as clock, (-2::numeric ^ 63)"
              "::numeric(20) as num, 'Caesar (BC)' as txt")  # fmt: skip
    run.done(SyncTable, source_table="src", target_connection="there", target_table="dst",
             primary_key="id")  # fmt: skip
    run.done(SyncTable, source_connection="there", source_table="dst", target_table="back",
             primary_key="id")  # fmt: skip

    assert run.query("select id, clock::text, num::int8, txt from back") == [
        (1, "00:15:00", -(2**63), "Caesar (BC)")
    ]


def test_intervals_of_both_signs_go_to_duckdb_and_back(run: Runs, places: Places):
    run.connections["lake"] = places("duckdb").url
    run.query("""create table src as select n as id, x from unnest(array[
        '1 year 2 mons -3 days +04:05:06.7', '-1 year -2 mons +3 days -04:05:06', '-1 days',
        '00:00:00', '-00:00:00.000001', '1 day -00:00:01']::interval[])
        with ordinality as v (x, n)""")
    for from_, to, table in ((None, "lake", "src"), ("lake", None, "there")):
        run.done(SyncTable, source_connection=from_, source_table=table, target_connection=to,
                 target_table="there" if to else "back", primary_key="id")  # fmt: skip

    came = run.query("select id, x::text from back order by id")
    assert came == run.query("select id, x::text from src order by id")


def test_days_before_our_era_come_from_duckdb(run: Runs, places: Places):
    lake = places("duckdb")
    run.connections["lake"] = lake.url
    lake.query(
        "create table src as select 1 as id, date '0044-03-15 (BC)' as day, timestamp"
        " '0044-03-15 (BC) 12:00:00' as at, timestamptz '0044-03-15 (BC) 12:00:00+00' as z"
    )
    run.done(SyncTable, source_connection="lake", source_table="src", target_table="back",
             primary_key="id")  # fmt: skip

    assert run.query("set timezone = 'UTC'; select day::text, at::text, z::text from back") == [
        ("0044-03-15 BC", "0044-03-15 12:00:00 BC", "0044-03-15 12:00:00+00 BC")
    ]


def test_only_rows_that_differ_are_written_there(run: Runs, there: Place):
    run.query("create table src (id int primary key, name text)")
    run.query("insert into src select n, 'name ' || n from generate_series(1, 5000) n")
    with_ = {"source_table": "src", "target_connection": "there", "target_table": "dst",
             "primary_key": "id", "delete": True}  # fmt: skip

    first = run.done(SyncTable, **with_)
    run.query("update src set name = 'NAME 2' where id = 2")
    run.query("update src set name = null where id = 3")
    run.query("delete from src where id > 4998")
    run.query("insert into src values (6000, 'new')")
    second, third = run.done(SyncTable, **with_), run.done(SyncTable, **with_)

    counted = [[one[key] for key in ("inserted", "updated", "deleted")]
               for one in (first, second, third)]  # fmt: skip
    assert counted == [[5000, 0, 0], [1, 2, 2], [0, 0, 0]]
    rows = there.query("select id, name from dst where id in (2, 3, 6000) order by id")
    assert rows == [(2, "NAME 2"), (3, None), (6000, "new")]
    assert there.query("select count(*) from dst") == [(4999,)]


def test_changes_there_come_over_here(run: Runs, there: Place):
    there.query("create table src (id int primary key, name varchar(40), n decimal(6,2))",
                "insert into src values (1, 'one', 1.5), (2, 'two', null)")  # fmt: skip
    with_ = {"source_connection": "there", "source_table": "src", "target_table": "dst",
             "primary_key": "id", "delete": True}  # fmt: skip
    first = run.done(SyncTable, **with_)
    assert [first[key] for key in ("inserted", "updated", "deleted")] == [2, 0, 0]
    there.query("update src set name = 'ONE' where id = 1", "delete from src where id = 2",
                "insert into src values (3, 'three', 3)")  # fmt: skip

    result = run.done(SyncTable, **with_)

    assert [result[key] for key in ("inserted", "updated", "deleted")] == [1, 1, 1]
    assert run.query("select id, name, n::text from dst order by id") == [
        (1, "ONE", "1.50"), (3, "three", "3.00")
    ]  # fmt: skip


def test_some_columns_and_rows_are_taken_under_other_names(run: Runs, there: Place):
    there.query("create table src (id int primary key, nm varchar(40), secret varchar(9))",
                "insert into src values (1, 'one', 'x'), (2, 'two', 'y')")  # fmt: skip
    run.done(SyncTable, source_connection="there", source_table="src", target_table="dst",
             primary_key="id", select=["-secret", "nm as name"], where="id > 1")  # fmt: skip
    assert run.query("select * from dst") == [(2, "two")]


def test_the_rows_of_a_query_are_brought_here_and_there(run: Runs, there: Place):
    there.query("create table src (id int primary key, name varchar(40))",
                "insert into src values (1, 'one'), (2, 'two')")  # fmt: skip
    query = "select id + 10 as id, name from {} where id > 1"

    run.done(SyncTable, source_connection="there", source_sql=query.format("src"),
             target_table="here", primary_key="id")  # fmt: skip
    run.query("insert into here values (3, 'three')")
    run.done(SyncTable, source_sql=query.format("here"), target_connection="there",
             target_table="back", primary_key="id")  # fmt: skip

    assert run.query("select id, name from here order by id") == [(3, "three"), (12, "two")]
    assert there.query("select id, name from back order by id") == [(13, "three"), (22, "two")]


@pytest.mark.parametrize("source", NAMES)
def test_rows_travel_between_two_others(run: Runs, places: Places, source: str):
    target = NAMES[(NAMES.index(source) + 1) % 3]
    for name in (source, target):
        place = places(name)
        run.connections[name] = place.url
        if name == source:
            place.query("create table src (id int primary key, name varchar(40), seen timestamp)",
                        "insert into src values (1, 'Ö', '2026-07-01 00:30:00')")  # fmt: skip
    run.done(SyncTable, source_connection=source, source_table="src", target_connection=target,
             target_table="dst", primary_key="id")  # fmt: skip
    assert place.query("select id, name from dst") == [(1, "Ö")]


@pytest.mark.parametrize(
    ("kind", "sql", "declared", "said"),
    [
        ("duckdb", "1.239::numeric", "decimal(5,2)", "more than 2 digits after the point"),
        ("mysql", "1.239::numeric", "decimal(5,2)", "more than 2 digits after the point"),
        ("sqlite", "12345678901234.5678::numeric", "numeric", "make the column text"),
        (
            "mysql",
            "timestamp '2026-01-01 00:00:00.5'",
            "datetime",
            "more than 0 digits of a second",
        ),
        ("mysql", "'abcd'::text", "varchar(3)", "Data too long"),
        ("mysql", "'abc   '::text", "varchar(3)", "would change a value"),
        ("mysql", "5000000000", "int", "Out of range"),
        ("duckdb", "5000000000", "int", "Could not convert"),
        ("mysql", "'NaN'::float8", "double", "no place there"),
        ("mysql", "date 'infinity'", "date", "no place there"),
        ("sqlite", "timestamp '0044-03-15 00:00 BC'", "timestamp", "no place there"),
        ("duckdb", "0.1::float8", "float", "four bytes"),
        ("sqlite", "'x'::text", "integer", "cannot take values of text"),
        ("mysql", "1.5::float8", "int", "cannot take values of double precision"),
        ("duckdb", "now()", "timestamp", "cannot take values of timestamp with time zone"),
    ],
)
def test_a_value_that_would_change_is_an_error(
    run: Runs, places: Places, kind: str, sql: str, declared: str, said: str
):
    place = places(kind)
    run.connections["there"] = place.url
    place.query(f"create table dst (id int primary key, x {declared})")
    run.query(f"create table src as select 1 as id, {sql} as x")

    error = run.failed(SyncTable, source_table="src", target_connection="there",
                       target_table="dst", primary_key="id")  # fmt: skip

    assert said in error
    assert place.query("select * from dst") == []


@pytest.mark.parametrize(
    ("kind", "declared", "value", "said"),
    [
        ("sqlite", "integer", "'abc'", "invalid input syntax for type bigint"),
        ("sqlite", "text", "x'00'", "a BLOB is no text"),
        ("sqlite", "date", "7", "is no date but a number"),
        ("sqlite", "datetime", "20260203", "is no timestamp but a number"),
        ("sqlite", "date", "'2026-02-03 10:00'", "has a time of day"),
        ("sqlite", "time", "'2026-02-03 10:00'", "has a day"),
        ("sqlite", "datetime", "'2026-02-03 10:00+02:00'", "has a time zone other than UTC"),
        ("sqlite", "numeric(10,2)", "1.239", "more than 2 digits after the point"),
        ("mysql", "tinyint(1)", "7", "7 is no boolean"),
        ("mysql", "point", "point(1,1)", "for which PostgreSQL has none"),
        ("duckdb", "bit", "'101'::bit", "for which PostgreSQL has none"),
    ],
)
def test_a_value_that_is_not_what_its_column_says_is_an_error(
    run: Runs, places: Places, kind: str, declared: str, value: str, said: str
):
    place = places(kind)
    run.connections["there"] = place.url
    place.query(f"create table src (id int primary key, x {declared})",
                f"insert into src values (1, {value})")  # fmt: skip

    error = run.failed(SyncTable, source_connection="there", source_table="src",
                       target_table="dst", primary_key="id")  # fmt: skip

    assert said in error
    assert run.query("select to_regclass('dst')") == [(None,)]


def test_texts_that_a_collation_calls_equal_are_told_apart(run: Runs, places: Places):
    for kind, declared in (("mysql", "varchar(9) collate utf8mb4_general_ci"),
                           ("sqlite", "varchar(9) collate nocase")):  # fmt: skip
        place = places(kind)
        run.connections[kind] = place.url
        place.query(f"create table dst (id int primary key, x {declared})",
                    "insert into dst values (1, 'abc')")  # fmt: skip
        run.done(RunSql, sql="select 1 as id, 'ABC' as x", into="src")
        result = run.done(SyncTable, source_table="src", target_connection=kind,
                          target_table="dst", primary_key="id")  # fmt: skip
        assert result["updated"] == 1
        assert place.query("select x from dst") == [("ABC",)]


def test_a_table_that_is_made_takes_no_null_where_the_source_takes_none(run: Runs, there: Place):
    run.query("create table src (id text primary key, x int not null, y int)")

    run.done(SyncTable, source_table="src", target_connection="there", target_table="dst",
             primary_key="id")  # fmt: skip

    asked = (
        "select column_name, is_nullable from information_schema.columns"
        " where table_name = 'dst' and table_schema in (database(), 'main')"
        if there.kind == "mysql"
        else "select name, case \"notnull\" when true then 'NO' else 'YES' end"
        " from pragma_table_info('dst')"
    )
    assert dict(there.query(asked)) == {"id": "NO", "x": "NO", "y": "YES"}


def test_a_key_that_is_null_or_twice_is_an_error(run: Runs, there: Place):
    for values in ("(1), (1)", "(null)"):
        run.query(
            f"drop table if exists src; create table src (id int); insert into src values {values}"
        )
        error = run.failed(SyncTable, source_table="src", target_connection="there",
                           target_table="dst", primary_key="id")  # fmt: skip
        # MariaDB's copy of the key's column takes no NULL in the first place.
        assert "is NULL or stands in several rows" in error or "cannot be null" in error


@pytest.mark.parametrize(
    ("with_", "said"),
    [
        ({"merge_strategy": "scd2"}, "merge_strategy: scd2 does not work in SQLite"),
        ({"delete_missing": "soft"}, "delete_missing: soft does not work in SQLite: none, hard"),
        ({"incremental": {"cursor": "id"}}, "incremental"),
        ({"mask": {"name": "null"}}, "mask"),
        ({"on_schema_change": "ignore"}, "on_schema_change: ignore does not work in SQLite: fail"),
        ({"update_columns": ["name"]}, "update_columns does not work in SQLite"),
        ({"source_connection": "there"}, "source and target are the same SQLite connection"),
    ],
)
def test_what_does_not_work_there_says_so(run: Runs, places: Places, with_, said):
    run.connections["there"] = places("sqlite").url
    error = run.failed(SyncTable, source_table="s", target_table="t", primary_key="id",
                       target_connection="there", **with_)  # fmt: skip
    assert "SQLite" in error
    assert said in error
