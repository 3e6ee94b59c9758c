"""RunSql in SQLite, MariaDB and DuckDB: values bound, results, tables filled, one transaction."""

from pathlib import Path

import pytest

from headrace.jobs.run_sql import RunSql
from headrace.jobs.vacuum_table import VacuumTable
from tests.others.conftest import Place, Places, Runs

ODD = "O'Neil \\ % ` # -- {{ x }} \" 😀"


def test_values_are_bound_and_come_back(run: Runs, there: Place):
    there.query("create table t (id int, name varchar(60))")

    run.done(
        RunSql,
        sql="insert into t values (1, {{ params.name }}); insert into t values (2, 'a%')",
        params={"name": ODD},
        connection="there",
    )
    found = run.done(
        RunSql,
        sql="select * from t where name = {{ params.name }} or name like 'a%' order by id",
        params={"name": ODD},
        connection="there",
    )

    assert found["columns"] == ["id", "name"]
    assert found["rows"] == [{"id": 1, "name": ODD}, {"id": 2, "name": "a%"}]


def test_a_table_gets_exactly_the_rows_of_a_query(run: Runs, there: Place):
    there.query("create table t (id int, n decimal(8,2))", "insert into t values (1, 1.5), (2, 7)")
    sql = "select id + {{ params.more }} as id, n from t where n > 1"

    made = run.done(RunSql, sql=sql, params={"more": 1}, into="copied", connection="there")
    there.query("delete from t where id = 2")
    again = run.done(RunSql, sql=sql, params={"more": 1}, into="copied", connection="there")

    assert (made["row_count"], again["row_count"]) == (2, 1)
    assert [tuple(map(float, row)) for row in there.query("select id, n from copied")] == [(2, 1.5)]


def test_nothing_of_a_job_that_fails_stays(run: Runs, there: Place):
    there.query("create table t (id int primary key)")

    error = run.failed(
        RunSql, sql="insert into t values (1); insert into t values (1)", connection="there"
    )

    assert error.startswith("there (")
    assert there.query("select * from t") == []
    assert there.query("select * from headrace_ledger") == []


def test_expect_keeps_a_table_from_being_emptied(run: Runs, there: Place):
    there.query("create table t (id int)", "insert into t values (1), (2)")

    error = run.failed(
        RunSql,
        sql="select id from t where id > 5",
        into="t",
        expect={"max_delete": "50%"},
        connection="there",
    )

    assert "2 of the 2 rows of t would be deleted" in error
    assert len(there.query("select * from t")) == 2


@pytest.mark.parametrize("sql", ["commit", "rollback", "begin"])
def test_sql_that_ends_the_transaction_is_refused(run: Runs, there: Place, sql: str):
    assert "not allowed in a job's SQL" in run.failed(RunSql, sql=sql, connection="there")


def test_a_statement_outside_transactions_runs_alone(run: Runs, there: Place):
    run.done(RunSql, sql="create table t (id int)", connection="there", transaction=False)
    assert there.query("select * from t") == []


def test_jobs_of_postgresql_say_that_they_do_not_work_there(run: Runs, there: Place):
    error = run.failed(VacuumTable, table="t", connection="there")
    assert "this job works in PostgreSQL only" in error


def test_mysql_statements_that_commit_by_themselves_are_refused(run: Runs, places: Places):
    place = places("mysql")
    run.connections["there"] = place.url
    place.query("create table t (id int)")

    error = run.failed(
        RunSql, sql="insert into t values (1); create table u (id int)", connection="there"
    )

    assert "CREATE commits by itself in MySQL" in error
    assert place.query("select * from t") == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("insert into t values (1) # it's", "a # or a `"),
        ("insert into t values (1) /*! ; commit */", "comments that MySQL executes"),
        ("set sql_mode = ''", "sql_mode must not be changed"),
        ("set autocommit = 0", "autocommit must not be changed"),
    ],
)
def test_mysql_cannot_be_talked_out_of_its_transaction(
    run: Runs, places: Places, sql: str, said: str
):
    place = places("mysql")
    run.connections["there"] = place.url
    place.query("create table t (id int)")

    assert said in run.failed(RunSql, sql=sql, connection="there")
    assert place.query("select * from t") == []


def test_names_in_backquotes_are_read_in_mysql(run: Runs, places: Places):
    place = places("mysql")
    run.connections["there"] = place.url
    place.query("create table `order` (`id` int)", "insert into `order` values (7)")

    found = run.done(RunSql, sql='select `id`, "id" as again from `order`', connection="there")

    assert found["rows"] == [{"id": 7, "again": 7}]


@pytest.mark.parametrize(
    ("kind", "sql", "said"),
    [
        ("sqlite", "attach database '{file}' as other", "too many attached databases"),
        ("sqlite", "vacuum into '{file}'", "would write another file"),
        ("duckdb", "select * from read_csv('/etc/passwd')", "Cannot access file"),
        ("duckdb", "copy (select 1) to '{file}'", "Cannot access file"),
        ("duckdb", "set enable_external_access = true", "has been locked"),
        ("duckdb", "attach '{file}' as other", "Cannot access file"),
    ],
)
@pytest.mark.parametrize("with_", [{}, {"transaction": False}])
def test_sql_reaches_no_other_file(
    run: Runs,
    places: Places,
    tmp_path: Path,
    kind: str,
    sql: str,
    said: str,
    with_: dict[str, bool],
):
    run.connections["there"] = places(kind).url
    run.done(RunSql, sql="create table t (id int)", connection="there")
    file = tmp_path / "other"

    told = run.failed(RunSql, sql=sql.format(file=file), connection="there", **with_)

    assert said in told
    assert not file.exists()


def test_vacuum_works_in_sqlite(run: Runs, places: Places):
    run.connections["there"] = places("sqlite").url
    run.done(RunSql, sql="create table t (id int)", connection="there")
    done = run.done(RunSql, sql="vacuum", connection="there", transaction=False)
    assert "rows" not in done


def test_a_missing_file_is_told_to_who_reads(run: Runs, project):
    from headrace.jobs.check_data import CheckData

    run.connections["there"] = f"sqlite:///{project}/nothing.db"
    error = run.failed(CheckData, table="t", not_null=["id"], connection="there")
    assert "there is no file" in error
    assert not (project / "nothing.db").exists()


def test_a_url_without_a_file_or_database_is_told(run: Runs):
    for url, said in {
        "sqlite://": "names no file",
        "duckdb:///:memory:": "names no file",
        "mysql+pymysql://etl@127.0.0.1": "names no database",
        "mysql+mysqldb://etl@127.0.0.1/shop": "wants another driver",
        "mysql+pymysql://etl@127.0.0.1/shop?autocommit=1": "a parameter that is none of",
    }.items():
        run.connections["there"] = url
        assert said in run.failed(RunSql, sql="select 1", connection="there"), url
