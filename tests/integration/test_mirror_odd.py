"""MirrorTable where tables belong to others, or change while they are copied."""

from typing import Any

import pytest
from sqlalchemy import Engine

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.transfer.source import pour
from tests.integration.test_jobs_between_servers import rows, run
from tests.support.attempts import JobRunner
from tests.support.places import Server

SHOP = (
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.customer (id int PRIMARY KEY)",
    "CREATE TABLE shop.orders (id int PRIMARY KEY, customer int REFERENCES shop.customer)",
    "INSERT INTO shop.customer VALUES (1), (2)",
    "INSERT INTO shop.orders VALUES (10, 1), (11, 2)",
)
WITH: dict[str, Any] = {"tables": ["shop.*"], "source_connection": "there"}
ORDERS = "SELECT id, customer FROM shop.orders ORDER BY 1"


@pytest.fixture
def there(run_job: JobRunner, second: Engine) -> Engine:
    run_job.engines["there"] = second
    run(second, *SHOP)
    return second


def failed(run_job: JobRunner, **with_: Any) -> str:
    with pytest.raises(JobFailure) as failure:
        run_job(MirrorTable, **with_)
    return str(failure.value)


def test_a_table_of_an_extension_is_left_out_of_a_pattern_but_not_where_it_is_named(
    run_job, there, query, caplog, second_server_of_another_major: Server
):
    caplog.set_level("INFO")
    run(there, "CREATE TABLE shop.own_of_it AS SELECT 1 AS id")
    second_server_of_another_major.execute(
        "ALTER EXTENSION plpgsql ADD TABLE shop.own_of_it", database=str(there.url.database)
    )

    found = run_job(MirrorTable, **WITH)
    assert sorted(found["tables"]) == ["shop.customer", "shop.orders"]
    told = [one.getMessage() for one in caplog.records]
    assert "shop.own_of_it belongs to an extension and is left out" in told

    found = run_job(MirrorTable, **WITH | {"tables": ["shop.own_of_it"]})
    assert found["tables"] == {"shop.own_of_it": 1}


def test_a_name_that_is_none_is_told(run_job, there):
    with pytest.raises(InvalidPayload) as refused:
        run_job(MirrorTable, **WITH, where={'shop."orders': "true"})
    assert 'shop."orders' in str(refused.value)


def test_a_made_table_gets_no_key_of_a_child_that_is_there_already(
    run_job, there, execute, query, caplog
):
    execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, customer int)")

    run_job(MirrorTable, **WITH)

    assert query(ORDERS) == [(10, 1), (11, 2)]
    assert query("SELECT contype FROM pg_constraint WHERE contype = 'f'") == []
    assert "is left out" not in caplog.text


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_table_that_a_trigger_adds_rows_to_is_not_what_was_read(
    run_job, there, execute, query, jobs
):
    execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, customer int)")
    execute("CREATE SCHEMA headrace")
    execute(
        "CREATE FUNCTION add() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO shop.orders VALUES (99, 9); RETURN NULL; END $$"
    )
    execute(
        "CREATE TRIGGER add AFTER INSERT ON shop.orders WHEN (pg_trigger_depth() = 0)"
        " EXECUTE FUNCTION add()"
    )

    told = failed(run_job, **WITH, verify="count", jobs=jobs)

    assert told == (
        "shop.orders holds 3 rows, but 2 were read from shop.orders: a trigger or a rule of it"
        " keeps or adds rows"
    )
    assert query(ORDERS) == []


# -- several connections --------------------------------------------------------------


def test_with_jobs_the_role_needs_the_schema_in_which_rows_wait(
    target: Engine, there: Engine, second_server_of_another_major: Server
):
    second_server_of_another_major.execute("CREATE SCHEMA headrace", database="other")
    run(target, *SHOP)
    run(there, "DROP SCHEMA shop CASCADE")
    run_job = JobRunner({None: there, "there": target})

    assert failed(run_job, **WITH, jobs=2) == (
        "with jobs rows wait in the schema headrace of the target, where the role etl cannot make"
        ' tables: GRANT CREATE ON SCHEMA headrace TO "etl", or leave jobs out'
    )
    assert rows(there, "SELECT to_regnamespace('shop')::text") == [(None,)]
    assert run_job(MirrorTable, **WITH)["tables"] == {"shop.customer": 2, "shop.orders": 2}


def test_a_table_that_somebody_makes_meanwhile_is_theirs(
    run_job, there, execute, query, monkeypatch
):
    execute("CREATE SCHEMA headrace")

    def poured(*given: Any) -> int:
        execute("CREATE SCHEMA IF NOT EXISTS shop; CREATE TABLE IF NOT EXISTS shop.orders (x int)")
        return pour(*given)

    monkeypatch.setattr("headrace.jobs.mirroring.parallel_reading.pour", poured)

    assert failed(run_job, **WITH | {"tables": ["shop.orders"]}, jobs=2) == (
        "shop.orders was made by somebody else meanwhile: run the job again"
    )
    assert query("SELECT * FROM shop.orders") == []


def test_partitions_that_the_role_may_not_read_are_read_through_their_table(
    run_job, there, execute, query, second_server_of_another_major: Server
):
    second_server_of_another_major.execute(
        "CREATE TABLE shop.event (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE shop.event_1 PARTITION OF shop.event FOR VALUES FROM (0) TO (5)",
        "CREATE TABLE shop.event_2 PARTITION OF shop.event FOR VALUES FROM (5) TO (9)",
        "INSERT INTO shop.event SELECT generate_series(0, 8)",
        "GRANT SELECT ON shop.event, shop.event_1 TO etl",
        database=str(there.url.database),
    )
    execute("CREATE SCHEMA headrace")

    result = run_job(MirrorTable, **WITH | {"tables": ["shop.event"]}, jobs=2)

    assert result["tables"] == {"shop.event": 9}
    assert query("SELECT count(DISTINCT id) FROM shop.event") == [(9,)]


def test_a_table_without_a_schema_is_made_in_the_first_one_of_the_path(
    run_job, there, execute, query
):
    execute("CREATE SCHEMA headrace")
    run(there, "CREATE TABLE plain AS SELECT 1 AS id")

    copy = {"source_table": "plain", "target_table": "plain", "source_connection": "there"}
    result = run_job(MirrorTable, **copy, jobs=2)

    assert result["row_count"] == 1
    assert query("SELECT * FROM public.plain") == [(1,)]
