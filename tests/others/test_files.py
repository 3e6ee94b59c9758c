"""LoadFile and ExportQuery with SQLite, MariaDB and DuckDB."""

from pathlib import Path

import pytest

from headrace.jobs.export_query import ExportQuery
from headrace.jobs.load_file import LoadFile
from tests.others.conftest import Place, Places, Runs

COLUMNS = {
    "id": "bigint",
    "name": "varchar(40)",
    "amount": "numeric(12,2)",
    "day": "date",
    "at": "timestamp",
    "ok": "boolean",
    "raw": "bytea",
}
ORDERS = """id,name,amount,day,at,ok,raw
1,Señor 😀,12.50,2026-07-01,2026-07-01 00:30:00.123456,t,\\x00ff
2,"O'Neil, \\ ""x""
y",-0.10,,,f,
3,"",,2026-02-28,1999-12-31 23:59:59,,\\x
"""


@pytest.fixture
def orders(project: Path) -> Path:
    path = project / "pipelines" / "orders.csv"
    path.write_text(ORDERS, encoding="utf-8")
    return path


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_what_is_exported_there_is_loaded_back_equal(
    run: Runs, there: Place, orders: Path, form: str
):
    load = {"connection": "there", "create": True, "columns": COLUMNS, "primary_key": ["id"]}
    run.done(LoadFile, path="orders.csv", table="first", mode="merge", **load)
    sql = "select * from {} order by id"

    out = run.done(ExportQuery, sql=sql.format("first"), path=f"x.{form}", connection="there")
    run.done(LoadFile, path=f"x.{form}", table="second", mode="merge", **load)

    assert out["row_count"] == 3
    rows = there.query(sql.format("first"))
    assert rows[1][1] == 'O\'Neil, \\ "x"\ny'
    assert (rows[0][6], rows[2][1], rows[2][6]) == (b"\x00\xff", "", b"")
    assert there.query(sql.format("second")) == rows


def test_rows_are_appended_replaced_and_merged(run: Runs, there: Place, orders: Path):
    more = {"table": "t", "connection": "there"}
    created = {"create": True, "columns": COLUMNS, "primary_key": ["id"]}
    run.done(LoadFile, path="orders.csv", mode="merge", **created, **more)
    (orders.parent / "more.csv").write_text("id,name,amount\n2,new,1\n2,newer,2\n9,nine,3\n")
    (orders.parent / "last.csv").write_text("id,name\n10,ten\n")

    merged = run.done(LoadFile, path="more.csv", mode="merge", **more)
    appended = run.done(LoadFile, path="last.csv", **more)

    assert [merged[one] for one in ("inserted", "updated", "duplicates")] == [1, 1, 1]
    assert appended["row_count"] == 1
    names = [row[0] for row in there.query("select name from t order by id")]
    assert names == ["Señor 😀", "newer", "", "nine", "ten"]

    kept = run.failed(
        LoadFile, path="last.csv", mode="replace", expect={"max_delete": "79%"}, **more
    )
    assert "4 of the 5 rows of t would be deleted, but expect.max_delete is 79%" in kept
    run.done(LoadFile, path="last.csv", mode="replace", expect={"max_delete": "80%"}, **more)
    assert there.query("select id, name from t") == [(10, "ten")]


def test_a_row_that_does_not_fit_leaves_the_table_as_it_was(run: Runs, there: Place, orders: Path):
    there.query("create table t (id int, amount decimal(8,2))", "insert into t values (7, 1)")
    for text, said in {
        "id,amount\n1,2\n2,abc\n": "bad.csv:3: column amount: invalid input syntax for type",
        "id,amount\n1,2\n2,999999999\n": "numeric field overflow" if there.kind != "sqlite" else "",
        "id,amount\n1,2\n2,1.239\n": "bad.csv:3: column amount: '1.239' has more than 2 digits",
        "id,nosuch\n1,2\n": "nosuch",
    }.items():
        (orders.parent / "bad.csv").write_text(text)
        error = run.failed(LoadFile, path="bad.csv", table="t", mode="replace", connection="there")
        assert said in error
        assert [row[0] for row in there.query("select id from t")] == [7]


def test_columns_that_the_file_lacks_take_their_defaults(run: Runs, there: Place, orders: Path):
    there.query("create table t (id int, note varchar(9) default 'none')")
    (orders.parent / "ids.csv").write_text("id\n1\n")

    run.done(LoadFile, path="ids.csv", table="t", connection="there")

    assert there.query("select id, note from t") == [(1, "none")]


def test_sql_before_and_after_runs_in_the_same_transaction(run: Runs, there: Place, orders: Path):
    there.query("create table t (id int)", "insert into t values (7)")
    (orders.parent / "ids.csv").write_text("id\n1\n")
    with_ = {"path": "ids.csv", "table": "t", "connection": "there"}

    run.failed(
        LoadFile, pre_sql="delete from t", post_sql="insert into nothing values (1)", **with_
    )
    assert there.query("select id from t") == [(7,)]

    run.done(LoadFile, pre_sql="delete from t", post_sql="update t set id = id + 1", **with_)
    assert there.query("select id from t") == [(2,)]


def test_masks_metadata_and_selections_work_there(run: Runs, there: Place, orders: Path):
    run.done(
        LoadFile,
        path="orders.csv",
        table="t",
        create=True,
        select=["id", "name"],
        mask={"name": "partial:2"},
        metadata=["_file", "_line"],
        connection="there",
    )

    rows = there.query("select id, name, _file, _line from t order by id")
    assert rows[0][2:] == ("orders.csv", 2)
    assert rows[0][1].endswith("r 😀"[1:]) and "Señor" not in rows[0][1]


@pytest.mark.parametrize(
    "with_",
    [
        {"on_error": {"reject_table": "r", "limit": 5}},
        {"new_files_only": True},
        {"on_schema_change": "append_new_columns", "mode": "replace"},
        {"replace_strategy": "truncate_and_insert", "mode": "replace"},
        {"checks": [{"row_count": None}], "store_failures": {"table": "f"}},
    ],
)
def test_what_does_not_work_there_says_so(run: Runs, places: Places, orders: Path, with_):
    run.connections["there"] = places("sqlite").url
    error = run.failed(
        LoadFile, path="orders.csv", table="t", create=True, connection="there", **with_
    )
    assert "SQLite" in error and "PostgreSQL" in error


def test_a_table_without_transactions_is_refused(run: Runs, places: Places, orders: Path):
    place = places("mysql")
    run.connections["there"] = place.url
    place.query("create table t (id int, name varchar(60)) engine = MyISAM")

    error = run.failed(LoadFile, path="orders.csv", table="t", select=["id", "name"],
                       connection="there")  # fmt: skip

    assert "has the engine MyISAM, which knows no transactions" in error
    assert "ENGINE = InnoDB" in error
    assert place.query("select * from t") == []


def test_a_query_of_a_user_who_may_only_read_is_exported(
    run: Runs, places: Places, project: Path, mariadb
):
    place = places("mysql")
    place.query("create table t (id int unsigned, e enum('a','b'), n decimal(5,2))",
                "insert into t values (4000000000, 'b', 1.5)")  # fmt: skip
    name = place.url.rpartition("/")[2]
    mariadb.execute(f"GRANT SELECT ON {name}.* TO reader@'%' IDENTIFIED BY 'r'")
    run.connections["there"] = place.url.replace("etl:throw-away", "reader:r")

    run.done(ExportQuery, sql="select t.*, count(*) over () as c from t", path="x.csv",
             connection="there")  # fmt: skip

    assert (project / "exports" / "x.csv").read_text() == "id,e,n,c\n4000000000,b,1.50,1\n"


def test_an_export_only_reads(run: Runs, there: Place, project: Path):
    there.query("create table t (id int)")
    error = run.failed(
        ExportQuery, sql="insert into t values (1)", path="x.csv", connection="there"
    )
    assert error
    assert there.query("select * from t") == []
    assert not (project / "exports" / "x.csv").exists()
