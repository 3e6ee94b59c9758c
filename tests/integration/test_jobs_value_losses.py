"""No copy rounds, cuts or takes a value out of its time zone without a word."""

import pytest

from headrace.errors import JobFailure
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.run_sql import RunSql
from headrace.jobs.sync_table import SyncTable
from tests.integration.test_jobs_between_servers import run

LOSSES = [
    ("numeric(12,4)", "1.2345", "numeric(10,2)"),
    ("numeric", "0.5", "integer"),
    ("double precision", "1.5", "bigint"),
    ("double precision", "0.1", "real"),
    ("double precision", "0.123", "numeric(10,2)"),
    ("numeric", "12345678901234567.89", "double precision"),
    ("bigint", "9007199254740993", "double precision"),
    ("text", "ab   ", "character varying(3)"),
    ("timestamp with time zone", "2026-07-01 00:30+00", "timestamp without time zone"),
    ("timestamp with time zone", "2026-07-01 00:30+00", "date"),
    ("timestamp without time zone", "2026-07-01 00:30", "date"),
    ("timestamp without time zone", "2026-07-01 00:30:01.25", "timestamp(0) without time zone"),
    ("numeric(12,4)[]", "{1.2345}", "numeric(10,2)[]"),
]
KEPT = [
    ("numeric(12,4)", "1.2300", "numeric(10,2)"),
    ("double precision", "0.1234567890123456", "numeric"),
    ("real", "0.1", "numeric"),
    ("numeric", "3.0", "integer"),
    ("integer", "3", "numeric(10,2)"),
    ("timestamp without time zone", "2026-07-01 00:00", "date"),
    ("text", "abc", "character varying(3)"),
    ("timestamp with time zone", None, "timestamp without time zone"),
]


@pytest.fixture
def there(run_job, second):
    run_job.engines["there"] = second
    return second


def made(run_job, there, number: int, given: str, value: str | None, own: str) -> dict[str, str]:
    literal = "NULL" if value is None else f"'{value}'"
    run(there, f"CREATE TABLE source_{number} AS SELECT 1 AS id, {literal}::{given} AS v")
    here = run_job.engines[None]
    run(here, f"CREATE TABLE target_{number} (id int PRIMARY KEY, v {own})",
        f"INSERT INTO target_{number} VALUES (1, NULL)")  # fmt: skip
    return {
        "source_table": f"source_{number}",
        "target_table": f"target_{number}",
        "source_connection": "there",
    }


@pytest.mark.parametrize("job", [MirrorTable, SyncTable])
def test_a_value_that_would_be_stored_otherwise_is_refused_with_column_and_remedy(
    run_job, there, query, job
):
    more = {"key": "id"} if job is SyncTable else {}
    for number, (given, value, own) in enumerate(LOSSES):
        tables = made(run_job, there, number, given, value, own)

        with pytest.raises(JobFailure) as failed:
            run_job(job, **tables, **more)

        told = str(failed.value)
        target = tables["target_table"]
        assert f"{target}: column v ({own})" in told
        assert f'ALTER TABLE "public"."{target}" ALTER COLUMN "v" TYPE {given}' in told
        assert "on_schema_change: sync_all_columns" in told
        assert query(f"SELECT v FROM {target}") == [(None,)]


def test_a_value_that_another_type_holds_as_it_is_is_stored(run_job, there, query):
    for number, (given, value, own) in enumerate(KEPT):
        tables = made(run_job, there, number, given, value, own)

        run_job(MirrorTable, **tables)

        same = f"v IS NOT DISTINCT FROM {'NULL' if value is None else repr(value)}::{given}::{own}"
        if given in ("double precision", "real"):
            same = f"v::text = '{value}'"
        assert query(f"SELECT {same} FROM {tables['target_table']}") == [(True,)]


def test_a_first_copy_into_an_empty_table_rounds_nothing_either(run_job, there):
    tables = made(run_job, there, 0, "numeric(12,4)", "1.2345", "numeric(10,2)")
    run(run_job.engines[None], "TRUNCATE target_0")

    with pytest.raises(JobFailure, match=r"cannot hold 1 of the values, 1\.2345 for example"):
        run_job(MirrorTable, **tables)


def test_what_a_query_returns_is_rounded_to_its_table_and_that_is_told(
    run_job, execute, query, caplog
):
    execute("CREATE TABLE target (v numeric(10,2))")

    run_job(RunSql, sql="select 1.005::numeric as v", into="target")

    assert query("SELECT v::text FROM target") == [("1.01",)]
    assert "1 value of column v rounded or cut to fit numeric(10,2), 1.005" in caplog.text
