"""Rows written by a key of two columns, of which other rows have one each, in another database."""

from pathlib import Path
from typing import Any

import pytest

from headrace.jobs.check_data import CheckData
from headrace.jobs.load_file import LoadFile
from headrace.jobs.sync_table import SyncTable
from tests.others.conftest import Place, Places, Runs
from tests.support.mariadb import MariaDb

THERE = """create table dst (a int not null, b varchar(9) not null, v varchar(9), w int,
                             primary key (a, b))"""
WITH: dict[str, Any] = {
    "source_table": "src", "target_connection": "there", "target_table": "dst",
    "primary_key": ["a", "b"],
}  # fmt: skip
HERE = """
create table src (a int, b text, v text, w int);
insert into src values (1, 'x', 'new', 1), (1, 'y', 'same', null), (2, 'y', 'come', 2),
                       (3, 'x', 'null', null)
"""
OTHERS = [(2, "x", "second", 1), (3, "z", "none", 1)]
COME = (2, "y", "come", 2)


@pytest.fixture
def rows(run: Runs, there: Place) -> Place:
    there.query(THERE, "insert into dst values (1, 'x', 'old', 1), (1, 'y', 'same', null),"
                " (2, 'x', 'second', 1), (3, 'z', 'none', 1), (3, 'x', 'null', 3)")  # fmt: skip
    run.query(HERE)
    return there


@pytest.mark.parametrize(
    ("how", "counts", "left"),
    [
        ({"delete": True}, [1, 2, 2],
         [(1, "x", "new", 1), (1, "y", "same", None), COME, (3, "x", "null", None)]),
        ({}, [1, 2, 0],
         [(1, "x", "new", 1), (1, "y", "same", None), COME, (3, "x", "null", None), *OTHERS]),
        ({"merge_strategy": "insert_only"}, [1, 0, 0],
         [(1, "x", "old", 1), (1, "y", "same", None), COME, (3, "x", "null", 3), *OTHERS]),
    ],
)  # fmt: skip
def test_rows_are_merged_by_the_whole_key(
    run: Runs, rows: Place, how: dict[str, Any], counts: list[int], left: list[Any]
) -> None:
    if rows.kind == "mysql":
        # Triggers see the rows that the statement takes, also where none of their values differs.
        rows.query("create table seen (a int, b varchar(9))", "create trigger sees before update"
                   " on dst for each row insert into seen values (old.a, old.b)")  # fmt: skip

    result = run.done(SyncTable, **WITH, **how)

    if rows.kind == "mysql":
        assert rows.query("select count(*) from seen") == [(counts[1],)]
    assert [result[name] for name in ("inserted", "updated", "deleted")] == counts
    assert rows.query("select a, b, v, w from dst order by a, b") == sorted(left)


def test_a_row_takes_the_unique_value_of_one_that_goes(run: Runs, there: Place) -> None:
    there.query("create table dst (a int primary key, v varchar(9) unique)",
                "insert into dst values (1, 'taken'), (2, 'other')")  # fmt: skip
    run.query("create table src (a int, v text); insert into src values (2, 'taken')")

    given: dict[str, Any] = {**WITH, "primary_key": "a"}
    result = run.done(SyncTable, **given, delete=True)

    assert [result[name] for name in ("inserted", "updated", "deleted")] == [0, 1, 1]
    assert there.query("select a, v from dst") == [(2, "taken")]


def test_a_file_is_merged_by_the_tables_own_key(run: Runs, there: Place, project: Path) -> None:
    there.query("create table beside (v varchar(9) not null primary key, a int unique)",
                "create table dst (a int not null, b varchar(9) not null, v varchar(9),"
                " u int unique, primary key (a, b))",
                "insert into dst values (1, 'x', 'old', 1), (1, 'y', 'same', 2),"
                " (2, 'x', 'other', 3)")  # fmt: skip
    (project / "pipelines" / "dst.csv").write_text("a,b,v\n1,x,new\n2,y,come\n")

    result = run.done(LoadFile, path="dst.csv", table="dst", mode="merge", connection="there")

    assert (result["inserted"], result["updated"]) == (1, 1)
    assert there.query("select * from dst order by a, b") == [
        (1, "x", "new", 1),
        (1, "y", "same", 2),
        (2, "x", "other", 3),
        (2, "y", "come", None),
    ]


def test_a_key_is_doubled_or_null_as_a_whole(run: Runs, places: Places) -> None:
    place = places("sqlite")
    run.connections["there"] = place.url
    place.query("create table dst (a int, b varchar(9), v varchar(9), w int)")
    run.query(HERE)
    assert run.done(SyncTable, **WITH)["inserted"] == 4
    for values, shown in (("1, 'x'", "1, 'x'"), ("null, 'x'", "None, 'x'"), ("9, null", "9, None")):
        run.query(f"begin; delete from src where w = 77; insert into src values ({values}, 'v', 77)"
                  "; commit")  # fmt: skip
        assert run.failed(SyncTable, **WITH) == (
            "src: the key (a, b) is NULL or stands in several rows, as dst compares"
            f" values: {shown}"
        )


def test_rows_are_doubled_by_all_columns_and_a_null_equals_nothing(run: Runs, there: Place) -> None:
    there.query(
        "create table t (a int, b varchar(9), keep int)",
        "insert into t values (1, 'x', 1), (1, 'x', 1), (1, 'x', 1), (1, 'y', 1), (2, 'x', 1),"
        " (2, 'x', 1), (null, 'x', 1), (null, 'x', 1), (1, null, 1), (1, null, 1), (9, 'z', 0),"
        " (9, 'z', 0)",
    )
    told = [
        ("keep = 1", ["a", "b"], "3, must be 0"),
        ("keep = 1", ["a"], "6, must be 0"),
        ("keep = 0", ["a", "b"], "1, must be 0"),
    ]
    for where, columns, said in told:
        error = run.failed(CheckData, table="t", connection="there", filter=where,
                           checks=[{"duplicate": {"columns": columns}}])  # fmt: skip
        assert said in error, (where, columns)
    checks: list[dict[str, Any]] = [
        {"duplicate": {"column": "a", "metric": "percent"}},
        {"failed_rows": {"expression": "a = 1"}},
    ]
    result = run.done(CheckData, table="t", connection="there", filter="keep > 1", checks=checks)
    assert result["check_results"][0]["detail"] == "of 0 rows"


def test_the_columns_of_a_table_are_its_own(
    run: Runs, there: Place, request: pytest.FixtureRequest
) -> None:
    """Another schema, or database, has a table of that name with other columns."""
    makes = "create table {} (x int primary key, y int not null, id int, z int default 5)"
    if there.kind == "duckdb":
        there.query("create schema o", makes.format("o.dst"))
    elif there.kind == "mysql":
        server: MariaDb = request.getfixturevalue("mariadb")
        server.execute("CREATE OR REPLACE DATABASE beside", "GRANT ALL ON beside.* TO etl@'%'")
        there.query(makes.format("beside.dst"))
    there.query(makes.format("other"), "create table dst (id int primary key, note varchar(9))")
    run.query("create table src as select 1 as id")

    assert run.done(SyncTable, **WITH | {"primary_key": "id"})["inserted"] == 1

    error = run.failed(SyncTable, **WITH | {"primary_key": "id", "target_table": "other"})
    assert error == "other.x needs a value, and src has no such column"
    if there.kind == "mysql":
        error = run.failed(SyncTable, **WITH | {"primary_key": "id", "target_table": "beside.dst"})
        assert error == "beside.dst.x needs a value, and src has no such column"
        server.execute("DROP DATABASE beside")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("a integer, n integer primary key", None),
        ("a integer, n integer, primary key (a, n)", "dst.n needs a value"),
        ("a integer, n int primary key", "dst.n needs a value"),
        ("a integer, n integer default 3, primary key (a, n)", None),
        ("a integer primary key, n integer not null", "dst.n needs a value"),
        ("a integer, n integer as (a + 1)", None),
        ("a integer, n integer not null", "dst.n needs a value"),
    ],
)
def test_only_a_key_of_one_integer_numbers_itself_in_sqlite(
    run: Runs, places: Places, columns: str, said: str | None
) -> None:
    place = places("sqlite")
    run.connections["there"] = place.url
    place.query(f"create table dst ({columns})")
    run.query("create table src as select 1 as a")
    given = WITH | {"primary_key": "a"}
    if said is None:
        assert run.done(SyncTable, **given)["inserted"] == 1
    else:
        assert said in run.failed(SyncTable, **given)


def test_the_engine_of_a_table_is_its_own(run: Runs, places: Places, mariadb: MariaDb) -> None:
    place = places("mysql")
    run.connections["there"] = place.url
    mariadb.execute("CREATE OR REPLACE DATABASE aside", "GRANT ALL ON aside.* TO etl@'%'")
    makes = "create table {} (id int primary key) engine = {}"
    place.query(makes.format("dst", "InnoDB"), makes.format("a", "MyISAM"),
                makes.format("aside.dst", "MyISAM"), makes.format("aside.a", "InnoDB"))  # fmt: skip
    run.query("create table src as select 1 as id")
    given = WITH | {"primary_key": "id"}

    for table in ("dst", "aside.a"):
        assert run.done(SyncTable, **given | {"target_table": table})["inserted"] == 1
    for table in ("a", "aside.dst"):
        error = run.failed(SyncTable, **given | {"target_table": table})
        assert error.startswith(f"{table} has the engine MyISAM, which knows no transactions")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("a int, n int auto_increment primary key", None),
        ("a int, n int not null default 3", None),
        ("a int, n int", None),
        ("a int, n int not null", "dst.n needs a value"),
        ("a int, n int primary key", "dst.n needs a value"),
        ("a int, n int as (a + 1) stored", None),
    ],
)
def test_which_columns_need_a_value_in_mysql(
    run: Runs, places: Places, columns: str, said: str | None
) -> None:
    place = places("mysql")
    run.connections["there"] = place.url
    place.query(f"create table dst ({columns})")
    run.query("create table src as select 1 as a")
    given = WITH | {"primary_key": "a"}
    if said is None:
        assert run.done(SyncTable, **given)["inserted"] == 1
    else:
        assert said in run.failed(SyncTable, **given)


@pytest.mark.parametrize("kind", ["sqlite", "mysql"])
def test_a_generated_column_takes_no_values(run: Runs, places: Places, kind: str) -> None:
    place = places(kind)
    run.connections["there"] = place.url
    run.query("create table src as select 1 as a, 2 as n")
    given = WITH | {"primary_key": "a"}
    for stored in ("stored", "virtual"):
        column = f"n int generated always as (a + 1) {stored}"
        place.query("drop table if exists dst", f"create table dst (a int, {column})")
        assert run.failed(SyncTable, **given) == (
            "dst.n is generated, which cannot take values of integer"
        )
