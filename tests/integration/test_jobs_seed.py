import pytest
from sqlalchemy.exc import ProgrammingError

from headrace.errors import JobFailure, RefusedSql
from headrace.jobs.data_aggregation import DataAggregation
from headrace.jobs.drop_table import DropTable
from headrace.jobs.populate_records import PopulateRecords
from headrace.jobs.slow_query import SlowQuery
from headrace.jobs.truncate_table import TruncateTable
from tests.unit.jobs.test_base import SeedJob

EVIL = "auth.users; DROP TABLE auth.users"


@pytest.fixture
def users(run_job):
    run_job(PopulateRecords, sql_path="users.sql")


def test_populate_fills_five_departments_however_often_it_runs(run_job, query):
    for _ in range(2):
        assert run_job(PopulateRecords, sql_path="users.sql") is None

    assert query("SELECT count(*), count(DISTINCT department) FROM auth.users") == [(1000, 5)]


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "../jobs/../../x.sql"])
def test_populate_reads_no_file_outside_the_project(run_job, path):
    with pytest.raises(JobFailure, match="leaves the folders"):
        run_job(PopulateRecords, sql_path=path)


def test_populate_tells_where_it_looked_for_a_missing_file(run_job):
    with pytest.raises(JobFailure, match=r"no file 'nope\.sql' beside the pipeline"):
        run_job(PopulateRecords, sql_path="nope.sql")


def test_slow_query_takes_its_time_and_says_so(run_job):
    assert run_job(SlowQuery, duration=0.2) == "Slow query completed after 0.2 seconds"
    assert run_job(SlowQuery, duration=0) == "Slow query completed after 0 seconds"


def test_aggregation_answers_the_seed_with_a_sentence(run_job, users):
    result = run_job(
        DataAggregation,
        table="auth.users",
        group_by="department",
        sort_by="total_salary",
        sort_order="desc",
    )

    assert result == "Aggregation complete. 5 groups found."


def test_aggregation_calculates_what_is_asked_in_the_order_asked(run_job, execute):
    execute("CREATE TABLE sale (region text, customer int, amount numeric(8, 2))")
    execute("INSERT INTO sale VALUES ('eu', 1, 1.5), ('eu', 1, 2), ('us', 2, 10), ('us', 3, NULL)")

    result = run_job(
        DataAggregation,
        table="sale",
        group_by="region",
        sort_by="total",
        sort_order="desc",
        aggregates={
            "total": "sum(amount)",
            "buyers": "count(distinct customer)",
            "sales": "count(*)",
            "mean": "avg(amount)",
        },
    )

    assert result == {
        "groups": 2,
        "rows": [
            {"region": "us", "total": 10, "buyers": 2, "sales": 2, "mean": 10},
            {"region": "eu", "total": 3.5, "buyers": 1, "sales": 2, "mean": 1.75},
        ],
    }


def test_aggregation_into_a_table_keeps_its_grants_and_indexes(run_job, execute, query, users):
    with_ = {
        "table": "auth.users",
        "group_by": "department",
        "aggregates": {"people": "count(*)"},
        "into": "mart.people",
    }
    assert run_job(DataAggregation, **with_) == {"groups": 5, "into": "mart.people"}
    execute("CREATE INDEX people_index ON mart.people (people)")
    execute("DELETE FROM auth.users WHERE department = 'Sales'")

    assert run_job(DataAggregation, **with_) == {"groups": 4, "into": "mart.people"}

    assert query("SELECT sum(people) FROM mart.people") == [(800,)]
    assert query("SELECT to_regclass('mart.people_index') IS NOT NULL") == [(True,)]


def test_aggregation_into_a_table_of_another_shape_replaces_it_where_that_is_asked_for(
    run_job, execute, query, users
):
    execute("CREATE SCHEMA mart")
    execute("CREATE TABLE mart.people (other int)")
    with_ = {"table": "auth.users", "group_by": "department", "into": "mart.people"}

    with pytest.raises(JobFailure, match=r"has no column department \(text\).*on_schema_change"):
        run_job(DataAggregation, **with_)

    run_job(DataAggregation, **with_, on_schema_change="recreate")

    assert query("SELECT count(*), sum(row_count) FROM mart.people") == [(5, 1000)]


def test_truncate_empties_the_table_and_restarts_its_numbers(run_job, execute, query):
    execute("CREATE TABLE t (id serial, v int)")
    execute("INSERT INTO t (v) VALUES (1), (2)")

    run_job(TruncateTable, table="t")
    execute("INSERT INTO t (v) VALUES (3)")

    assert query("SELECT id, v FROM t") == [(1, 3)]


def test_truncate_written_as_the_seed_writes_it_works(run_job, query, users):
    run_job(SeedJob, table="auth.users")

    assert query("SELECT count(*) FROM auth.users") == [(0,)]


def test_drop_removes_the_table_once(run_job, query, users):
    run_job(DropTable, table="auth.users")

    assert query("SELECT to_regclass('auth.users')") == [(None,)]
    with pytest.raises(ProgrammingError, match="does not exist"):
        run_job(DropTable, table="auth.users")
    run_job(DropTable, table="auth.users", if_exists=True)


@pytest.mark.parametrize(
    ("job", "with_"),
    [
        (TruncateTable, {"table": EVIL}),
        (DropTable, {"table": EVIL}),
        (DataAggregation, {"table": EVIL, "group_by": "department"}),
        (DataAggregation, {"table": "auth.users", "group_by": EVIL}),
        (DataAggregation, {"table": "auth.users", "group_by": "department", "into": EVIL}),
    ],
)
def test_sql_hidden_in_a_name_is_refused(run_job, query, users, job, with_):
    with pytest.raises(RefusedSql, match="is not an identifier"):
        run_job(job, **with_)

    assert query("SELECT count(*) FROM auth.users") == [(1000,)]


def test_an_aggregation_takes_columns_of_any_name(run_job, execute, query):
    execute('CREATE TABLE "Order-Items" ("Order ID" int, "Amount (USD)" numeric, "a.b" text)')
    execute("""INSERT INTO "Order-Items" VALUES (1, 1.5, 'x'), (1, 2, 'y'), (2, 0.25, 'x')""")

    result = run_job(
        DataAggregation,
        table='"Order-Items"',
        group_by=["Order ID"],
        aggregates={"Total, all": 'sum("Amount (USD)")', "n": 'count(distinct "a.b")'},
        sort_by="Total, all",
        sort_order="desc",
        into='public."By Order"',
    )

    assert result == {"groups": 2, "into": 'public."By Order"'}
    assert query("""SELECT "Order ID", "Total, all"::text, n FROM "By Order" ORDER BY 1""") == [
        (1, "3.5", 2),
        (2, "0.25", 1),
    ]


def test_a_sum_is_stored_in_a_table_with_fewer_digits_and_its_rights(run_job, execute, query):
    execute("CREATE TABLE sale (region text, amount numeric)")
    execute("INSERT INTO sale VALUES ('eu', 1.005), ('eu', 2)")
    execute("CREATE TABLE totals (region varchar(10) PRIMARY KEY, amount numeric(12,2))")
    execute("GRANT SELECT ON totals TO PUBLIC")
    before = query("SELECT oid, relacl::text FROM pg_class WHERE relname = 'totals'")

    for _ in range(2):
        run_job(
            DataAggregation,
            table="sale",
            group_by="region",
            aggregates={"amount": "sum(amount)"},
            into="totals",
        )

    assert query("SELECT region, amount::text FROM totals") == [("eu", "3.01")]
    assert query("SELECT oid, relacl::text FROM pg_class WHERE relname = 'totals'") == before
