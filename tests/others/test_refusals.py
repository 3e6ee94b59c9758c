"""What SQLite, MariaDB and DuckDB do not take, told in whole sentences."""

from pathlib import Path
from typing import Any

import pytest

from headrace import jobapi
from headrace.jobs.base import BaseJob
from headrace.jobs.check_data import CheckData
from headrace.jobs.export_query import ExportQuery
from headrace.jobs.load_file import LoadFile
from headrace.jobs.others.reading import rows_of_query
from headrace.jobs.run_sql import RunSql
from headrace.jobs.sync_table import SyncTable
from headrace.template import RenderedSql
from tests.others.conftest import Place, Places, Runs

PRODUCTS = {"sqlite": "SQLite", "mysql": "MySQL", "duckdb": "DuckDB"}


@pytest.fixture
def shop(there: Place) -> Place:
    there.query(
        "create table t (id int primary key, x varchar(9))",
        "insert into t values (1, 'soon')",
        "create table n (id int, x varchar(9) not null, d int not null default 0)",
        "create view v as select id, x from t",
    )
    return there


@pytest.mark.parametrize(
    ("with_", "said"),
    [
        ({"select": ["id", "y"]}, "t has no column 'y', which s has; it has: id, x"),
        (
            {"target_table": "n", "select": ["id", "d"]},
            "n.x needs a value, and s has no such column",
        ),
        ({"primary_key": "nosuch", "select": ["id"]}, "s has no key column 'nosuch'"),
        ({"select": ["id"], "update_columns": ["x"]}, "update_columns does not work in {product}"),
        ({"target_table": "a.b.t", "select": ["id"]}, "'a.b.t' has too many dots"),
        (
            {"chunk_size": 10},
            "chunk_size works between two databases of PostgreSQL, not with {product}",
        ),
    ],
)
def test_a_copy_that_the_table_there_cannot_take_is_told(
    run: Runs, shop: Place, with_: dict[str, Any], said: str
):
    run.query("create table s (id int, y text, d int); insert into s values (2, 'a', 3)")
    given = {"source_table": "s", "target_connection": "there", "target_table": "t",
             "primary_key": "id"}  # fmt: skip

    assert run.failed(SyncTable, **given | with_) == said.format(product=PRODUCTS[shop.kind])
    assert shop.query("select id from t") == [(1,)]


def test_a_table_that_is_not_there_is_told_to_who_reads_and_who_writes(
    run: Runs, shop: Place, project: Path
):
    place = f"there is no table nosuch in there ({PRODUCTS[shop.kind]})"
    (project / "pipelines" / "a.csv").write_text("id\n2\n")

    read = run.failed(SyncTable, source_connection="there", source_table="nosuch",
                      target_table="dst", primary_key="id")  # fmt: skip
    written = run.failed(LoadFile, path="a.csv", table="nosuch", connection="there")

    assert (read, written) == (place, f"{place}; `create: true` creates it")


def test_a_load_by_key_needs_one(run: Runs, shop: Place, project: Path):
    (project / "pipelines" / "a.csv").write_text("id,x\n2,q\n")
    error = run.failed(LoadFile, path="a.csv", table="n", mode="merge", connection="there")
    assert error == (
        "n has no primary key: name the columns that identify a row, as in `primary_key: [id]`"
    )


@pytest.mark.parametrize(
    ("with_", "said"),
    [
        ({"sql": "select 1 as id, 2 as y"}, "t has no column 'y', which the query has"),
        ({"into": "a.b.t"}, "'a.b.t' has too many dots"),
        *(
            (one, f"{next(iter(one))} does not work in {{product}}, only in PostgreSQL")
            for one in (
                {"on_schema_change": "ignore"},
                {"materialized": "view"},
                {"role": "someone"},
            )
        ),
    ],
)
def test_a_query_whose_rows_the_table_there_cannot_take_is_told(
    run: Runs, shop: Place, with_: dict[str, Any], said: str
):
    given = {"sql": "select 1 as id", "into": "t", "connection": "there"}
    assert run.failed(RunSql, **given | with_) == said.format(product=PRODUCTS[shop.kind])
    assert shop.query("select x from t") == [("soon",)]


def test_a_view_takes_no_rows(run: Runs, shop: Place):
    said = {"sqlite": "there (SQLite): cannot modify v because it is a view",
            "mysql": "v is a view: rows are written to tables only",
            "duckdb": "there (DuckDB): Binder Error: Can only delete from base table"}  # fmt: skip
    error = run.failed(RunSql, sql="select 1 as id, 'x' as x", into="v", connection="there")
    assert error == said[shop.kind]


def test_two_columns_of_one_name_are_refused(run: Runs, shop: Place, project: Path):
    """SQLite calls the second one otherwise by itself, and MariaDB refuses it by itself."""
    sql = "select 1 as id, 2 as id, 3 as y"
    told = {"mysql": "there (MySQL): Duplicate column name 'id' (1060)"}.get(
        shop.kind, "{}: the query has several columns called 'id': rename them (AS …)"
    )

    exported = run.failed(ExportQuery, sql=sql, path="x.csv", connection="there")
    filled = run.failed(RunSql, sql=sql, into="made", connection="there")
    copied = run.failed(SyncTable, source_sql=sql, source_connection="there",
                        target_table="made", primary_key="id")  # fmt: skip

    assert [exported, filled, copied] == [
        told.format(place) for place in ("x.csv", "made", "source_sql")
    ]
    assert not (project / "exports" / "x.csv").exists()


def test_other_names_with_a_colon_stay_in_sqlite(run: Runs, places: Places, project: Path):
    run.connections["there"] = places("sqlite").url
    run.done(RunSql, sql="create table t (id int)", connection="there")
    sql = 'select 1 as id, 2 as "y:1", 3 as "id:x"'
    run.done(ExportQuery, sql=sql, path="x.csv", connection="there")
    assert (project / "exports" / "x.csv").read_text() == "id,y:1,id:x\n1,2,3\n"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("'a' as x union all select x'00'", 'the column "x" has texts and BLOBs: cast it'),
        ("1 as x union all select x'00'", 'the column "x" has numbers and BLOBs: cast it'),
        ("null as x union all select x'00ff'", None),
    ],
)
def test_blobs_beside_other_values_are_refused_in_sqlite(
    run: Runs, places: Places, project: Path, values: str, said: str | None
):
    run.connections["there"] = places("sqlite").url
    run.done(RunSql, sql="create table t (id int)", connection="there")
    outcome = run(ExportQuery, sql=f"select {values}", path="x.csv", connection="there")
    assert outcome.error == said
    if said is None:
        assert (project / "exports" / "x.csv").read_text() == "x\n\n\\x00ff\n"


def test_a_freshness_needs_times_and_none_is_no_age(run: Runs, shop: Place):
    shop.query("create table e (id int, seen timestamp null)")

    def failed(table: str, column: str) -> str:
        check = {"freshness": {"column": column, "unit": "day", "must_be_less_than": 1}}
        return run.failed(CheckData, table=table, checks=[check], connection="there")

    assert failed("e", "seen") == (
        "freshness seen of e: no value, must be less than 1 days (no rows)"
    )
    texts = failed("t", "x")
    if shop.kind == "duckdb":
        assert texts.startswith("there (DuckDB): Conversion Error: invalid timestamp field format")
    else:
        assert texts == "freshness x of t: 'soon' is no time"


def test_what_only_postgresql_sums_is_told_by_its_check(run: Runs, shop: Place):
    check = {"compare": {"connection": "there", "table": "t", "metric": "checksum"}}
    assert run.failed(CheckData, table="t", checks=[check], connection="there") == (
        f"compare t with there: metric: checksum works in PostgreSQL only, not in"
        f" {PRODUCTS[shop.kind]}: compare the count, or an aggregate"
    )


@pytest.mark.parametrize(
    ("kind", "sql"),
    [("sqlite", "create temp table q as select 1"), ("mysql", "do 1"),
     ("duckdb", "create temp table q as select 1")],
)  # fmt: skip
def test_a_check_that_is_no_query_is_refused(run: Runs, places: Places, kind: str, sql: str):
    run.connections["there"] = places(kind).url
    run.done(RunSql, sql="create table t (id int)", connection="there", transaction=False)
    assert run.failed(CheckData, sql=sql, connection="there") == (
        "rows that should not be there: the statement returns no rows: a check is a query"
    )


def test_rows_from_there_that_the_table_here_does_not_keep_are_missed(run: Runs, shop: Place):
    run.query("create table sifted (id int); create function sift() returns trigger language"
              " plpgsql as $$ begin return null; end $$; create trigger sift before insert on"
              " sifted for each row execute function sift()")  # fmt: skip

    class Pours(BaseJob):
        def handle(self) -> None:
            with self.session() as session, jobapi.current().other("there") as there:
                rows = rows_of_query(there, RenderedSql("select 7 as id", {}), "seven")
                rows.pour(session, RenderedSql("sifted", {}), ["id"])

    assert run.failed(Pours) == "seven: 1 rows were read, but 0 arrived"
