"""A job in a test, on the embedded server: what it did can be looked at."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import text

from headrace import BaseJob, JobFailure, get_db
from headrace.errors import InvalidPayload
from headrace.hooks import AttemptInfo, after_attempt, forget, on_failure
from headrace.jobs.data_aggregation import DataAggregation
from headrace.jobs.fibonacci import Fibonacci
from headrace.jobs.populate_records import PopulateRecords
from headrace.jobs.vacuum_table import VacuumTable
from headrace.testing import FreshDatabase, database, run_job
from tests.support.processes import deadline

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def db() -> Iterator[FreshDatabase]:
    with database() as fresh:
        yield fresh


class Keep(BaseJob):
    def __init__(self, fails: bool = False, commits: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fails, self.commits = fails, commits

    def handle(self) -> dict[str, int]:
        with self.session() as session:
            session.execute(text("insert into kept values (7)"))
            if self.commits:
                session.execute(text("commit"))
        if self.fails:
            raise JobFailure("after the insert")
        return {"rows": 1}


class DispatchesMany(BaseJob):
    def handle(self) -> list[str]:
        with pytest.raises(InvalidPayload):
            Fibonacci.dispatch_many([{"n": 1}, {"m": 2}])
        return Fibonacci.dispatch_many(
            ({"n": n} for n in (3, 1, 2)), queue="low", timeout=timedelta(minutes=2), retry=1
        )


class DispatchesOther(BaseJob):
    def handle(self) -> str:
        with get_db() as session:
            return Fibonacci.dispatch(n=7, session=session)


def test_an_effect_is_committed_with_the_completion(db: FreshDatabase):
    db.execute("create table kept (n int)")

    outcome = run_job(Keep, database=db)

    assert (outcome.status, outcome.result) == ("completed", {"rows": 1})
    assert db.rows("select n from kept") == [{"n": 7}]
    (row,) = db.rows(
        "select status, result from headrace.job where id::text = :id", id=outcome.job_id
    )
    assert row == {"status": "completed", "result": {"rows": 1}}


def test_the_effect_of_a_failed_job_is_undone_and_it_is_not_tried_again(db: FreshDatabase):
    db.execute("create table kept (n int)")

    outcome = run_job(Keep, {"fails": True}, database=db)

    assert (outcome.status, outcome.error) == ("failed", "after the insert")
    assert db.rows("select n from kept") == []


def test_what_a_worker_refuses_is_refused(db: FreshDatabase):
    db.execute("create table kept (n int unique deferrable initially deferred)")
    db.execute("insert into kept values (7)")

    outcome = run_job(Keep, database=db)
    ended = run_job(Keep, {"commits": True}, database=db)

    assert outcome.status == "failed"
    assert "duplicate key" in (outcome.error or "")
    assert ended.status == "failed"


def test_a_job_dispatches_many_at_once_all_or_none(db: FreshDatabase):
    done = run_job(DispatchesMany, database=db)

    assert done.status == "completed", done.error

    rows = db.rows(
        "SELECT id::text, payload ->> 'n' AS n, queue, timeout_s, retry ->> 'limit' AS retries"
        "  FROM headrace.job WHERE job_class = 'Fibonacci' ORDER BY id"
    )
    assert [row["id"] for row in rows] == done.result
    told = {(row["queue"], float(row["timeout_s"]), row["retries"]) for row in rows}
    assert told == {("low", 120.0, "1")}
    assert [row["n"] for row in rows] == ["3", "1", "2"]


def test_a_dispatched_job_is_a_row_that_nobody_executes(db: FreshDatabase):
    outcome = run_job(DispatchesOther, database=db)

    assert db.rows("select id::text as id, status, payload from headrace.job"
                   " where job_class = 'Fibonacci'") == [
        {"id": outcome.result, "status": "queued", "payload": {"n": 7}}
    ]  # fmt: skip


def test_a_named_connection_is_the_one_that_the_test_gives(db: FreshDatabase):
    with database() as warehouse:
        warehouse.execute("create table kept (n int)")
        given = {"warehouse": warehouse}

        outcome = run_job(Keep, {"connection": "warehouse"}, database=db, connections=given)
        unknown = run_job(Keep, {"connection": "wharehouse"}, database=db, connections=given)

        assert outcome.status == "completed", outcome.error
        assert warehouse.rows("select n from kept") == [{"n": 7}]
        assert len(warehouse.rows("select job_id from headrace.ledger")) == 1
    assert unknown.status == "failed"
    assert "warehouse" in (unknown.error or "")


def test_hooks_are_called_as_in_a_worker(db: FreshDatabase):
    told: list[AttemptInfo] = []
    note = told.append
    after_attempt(note)
    on_failure(note)
    try:
        run_job(Keep, {"fails": True}, database=db)
        run_job(Fibonacci, {"n": 3})
    finally:
        forget([note])
    assert [one.status for one in told] == ["failed", "failed", "completed"]


def test_each_database_is_empty_and_gone_afterwards():
    with database() as one, database() as other:
        one.execute("create table kept (n int)")
        assert one.url != other.url
        assert other.rows("select to_regclass('kept') as found") == [{"found": None}]
    with pytest.raises(psycopg2.OperationalError, match="does not exist"):
        psycopg2.connect(one.url)


def test_a_database_can_be_made_on_a_server_of_ones_own(empty_database: str):
    with database(empty_database) as db:
        db.execute("create table kept (n int)")
        assert run_job(Keep, database=db.url).status == "completed"


def test_sql_without_values_is_sent_as_it_is(db: FreshDatabase):
    db.execute("""create table notes as select '{"a":1}'::json as note where 'x' like '%'""")
    assert db.rows("select note from notes") == [{"note": {"a": 1}}]
    assert db.rows("select note from notes where 1 = :n", n=2) == []


SOURCE = """
import os, signal
from headrace.testing import database

with database() as db:
    print(db.url, flush=True)
    os.kill(os.getpid(), signal.{signal})
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_server_ends_with_its_process_however_that_ends(number: signal.Signals):
    ended = subprocess.run(
        [sys.executable, "-c", SOURCE.format(signal=number.name)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    folder = Path(ended.stdout.strip().partition("host=")[2].replace("%2F", "/")).parents[1]
    assert "headrace-testing-" in folder.name, ended.stdout + ended.stderr
    give_up = deadline(30)
    while folder.exists():
        assert time.monotonic() < give_up, folder
        time.sleep(0.1)


OWN_JOB = """
from sqlalchemy import text

from jobs.base import BaseJob, get_db, logger
from jobs.load_file import LoadFile


class RefreshTotals(BaseJob):
    def __init__(self, region: str, **kwargs):
        super().__init__(**kwargs)
        self.region = region

    def handle(self):
        with get_db() as session:
            session.execute(text("insert into mart.totals values (:region)"), vars(self))
        logger.info("refreshed %s", self.region)


class LoadTotals(LoadFile):
    path = "data/totals.csv"
"""


def guide_example() -> str:
    guide = (ROOT / "docs" / "guide" / "testing.md").read_text(encoding="utf-8")
    return guide.partition("## A job")[2].partition("```python\n")[2].partition("```")[0]


@pytest.mark.slow
def test_the_guides_example_passes_in_a_project_of_its_own(tmp_path: Path):
    for folder in ("jobs", "tests", "pipelines/data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "jobs" / "refresh_totals.py").write_text(OWN_JOB)
    (tmp_path / "pipelines" / "data" / "totals.csv").write_text("region\neu\nus\n")
    (tmp_path / "config.yaml").write_text('database_url: "${NOT_SET_IN_A_TEST}"\n')
    (tmp_path / "tests" / "test_totals.py").write_text(
        guide_example()
        + """
        from jobs.refresh_totals import LoadTotals

        loaded = run_job(LoadTotals, {"table": "mart.totals"}, database=db)
        assert loaded.status == "completed", loaded.error
        assert db.rows("select count(*) as n from mart.totals") == [{"n": 3}]
"""
    )

    ended = subprocess.run(
        [Path(sys.executable).with_name("pytest"), "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed" in ended.stdout


# -- the jobs and the SQL of the shipped pipelines ----------------------------------------


def test_example_users_are_filled_and_totalled(db: FreshDatabase):
    filled = run_job(PopulateRecords, {"sql_path": "users.sql"}, database=db, project=ROOT)
    assert filled.status == "completed", filled.error

    with_ = {"table": "auth.users", "group_by": "department", "aggregates": {"users": "count(*)"}}
    totals = run_job(DataAggregation, with_, database=db)

    departments = db.rows("select department, count(*) as users from auth.users group by 1")
    assert sorted(totals.result["rows"], key=str) == sorted(departments, key=str)


def test_a_job_outside_transactions_runs(db: FreshDatabase):
    db.execute("create table kept (n int)")
    outcome = run_job(VacuumTable, {"table": "kept"}, database=db)
    assert outcome.status == "completed", outcome.error
