"""A pipeline in a test, on the embedded server: what it did can be looked at."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.attempts.recorded_end import record_end
from headrace.errors import HeadraceError, ProblemsError, StaleAttempt, UnknownPipeline
from headrace.queue.message import Message
from headrace.testing import FreshDatabase, RunOutcome, database, pipeline_run, run_pipeline
from headrace.testing.kept_messages import KeptMessages

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
database_url: "${NOT_SET_IN_A_TEST}"
connections: {warehouse: "postgresql://${NOT_SET_IN_A_TEST}@nowhere.invalid/x"}
queues: [high, medium, low, nightly]
default_queue: nightly
pools: {api: 1}
retry: {limit: 1, intervals: [1h]}
"""
JOBS = """
from jobs import BaseJob, logger


class Flaky(BaseJob):
    seen = 0

    def __init__(self, succeeds_at: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.succeeds_at = succeeds_at

    def handle(self):
        Flaky.seen += 1
        logger.info("try %d", Flaky.seen)
        if Flaky.seen < self.succeeds_at:
            raise ValueError("not yet")
        return Flaky.seen


class Fails(BaseJob):
    def handle(self):
        raise ValueError("broken")
"""
EVERYTHING = """
name: everything
params:
  day: {type: date, default: 2025-01-31}
  full: {type: boolean, default: false}
steps:
  - id: regions
    job: RunSql
    pool: api
    with: {sql: "SELECT unnest(ARRAY['eu', 'us']) AS region", keep_rows: 10}
  - id: load
    job: RunSql
    depends_on: [regions]
    foreach: {items: "{{ steps.regions.result.rows }}", as: row}
    with:
      sql: |
        CREATE TABLE IF NOT EXISTS public.loaded (region text, day date);
        INSERT INTO public.loaded VALUES ({{ params.region }}, {{ params.day }})
      params: {region: "{{ row.region }}", day: "{{ params.day }}"}
  - id: only_full
    job: Fibonacci
    depends_on: [load]
    when: params.full
    with: {n: 3}
  - {id: flaky, job: Flaky, depends_on: [load]}
  - {id: breaks, job: Fails, retry: {limit: 0}}
  - {id: repairs, job: Fibonacci, depends_on: [breaks], trigger_rule: one_failed, with: {n: 5}}
  - {id: after, job: Fibonacci, depends_on: [breaks], with: {n: 6}}
  - {id: child, pipeline: child, with: {n: 7}, depends_on: [load]}
  - id: kept
    job: RunSql
    with: {sql: "CREATE TABLE kept AS SELECT 1 AS n", connection: warehouse}
handlers:
  finally:
    - {id: last, job: Fibonacci, with: {n: 2}}
"""
CHILD = """
name: child
params: {n: {type: integer}}
steps:
  - {id: fib, job: Fibonacci, with: {n: "{{ params.n }}"}}
"""


@pytest.fixture
def db() -> Iterator[FreshDatabase]:
    with database() as fresh:
        yield fresh


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("jobs", "pipelines"):
        (tmp_path / name).mkdir()
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "jobs" / "http.py").write_text(JOBS)
    write(tmp_path, "everything", EVERYTHING)
    write(tmp_path, "child", CHILD)
    return tmp_path


def write(project: Path, name: str, text: str) -> None:
    (project / "pipelines" / f"{name}.yaml").write_text(text.lstrip())


def statuses(run: RunOutcome) -> dict[str, str]:
    return {name: step.status for name, step in run.steps.items()}


def test_a_pipeline_runs_as_the_engine_decides_with_its_effects_visible(
    db: FreshDatabase, project: Path
) -> None:
    with database() as warehouse:
        run = run_pipeline(
            "everything", {"day": "2025-02-01"},
            database=db, connections={"warehouse": warehouse}, project=project,
        )  # fmt: skip

        assert warehouse.rows("select n from kept") == [{"n": 1}]
    assert statuses(run) == {
        "regions": "completed", "load": "completed", "load[0]": "completed",
        "load[1]": "completed", "only_full": "skipped", "flaky": "completed",
        "breaks": "failed", "repairs": "completed", "after": "skipped", "child": "completed",
        "kept": "completed", "last": "completed",
    }  # fmt: skip
    assert run.status == "failed"
    assert db.rows("select region, day::text from loaded order by region") == [
        {"region": "eu", "day": "2025-02-01"},
        {"region": "us", "day": "2025-02-01"},
    ]
    flaky = run.steps["flaky"]
    assert (flaky.attempts, flaky.result, flaky.logs) == (2, 2, ("try 1", "try 2"))
    assert run.steps["breaks"].error == "ValueError: broken"
    assert "raise ValueError" in (run.steps["breaks"].traceback or "")
    assert run.steps["repairs"].result == 5
    assert run.steps["only_full"].skip_reason == "condition"
    (child,) = db.rows("select status, params from headrace.run where pipeline = 'child'")
    assert child == {"status": "completed", "params": {"n": 7}}


def test_what_cannot_start_is_raised_with_its_place(db: FreshDatabase, project: Path) -> None:
    write(project, "broken", "name: broken\nsteps:\n  - {id: a, job: Fibonaci, with: {n: 1}}\n")

    with pytest.raises(UnknownPipeline, match="child"):
        run_pipeline("chidl", database=db, project=project)
    with pytest.raises(ProblemsError, match=r'broken.yaml:3:18: .*"Fibonaci"'):
        run_pipeline("broken", database=db, project=project)
    with pytest.raises(HeadraceError, match="warehouse"):
        run_pipeline("everything", database=db, project=project)


def test_two_projects_have_their_own_job_files(
    db: FreshDatabase, tmp_path: Path, project: Path
) -> None:
    results: list[Any] = []
    for number in (1, 2):
        other = tmp_path / f"project{number}"
        for name in ("jobs", "pipelines"):
            (other / name).mkdir(parents=True)
        (other / "jobs" / "http.py").write_text(
            "from headrace import BaseJob\nfrom jobs.numbers import NUMBER\n"
            "class Says(BaseJob):\n    def handle(self):\n        return NUMBER\n"
        )
        (other / "jobs" / "numbers.py").write_text(f"NUMBER = {number}\n")
        write(other, "says", "name: says\nsteps: [{id: says, job: Says}]\n")
        results.append(run_pipeline("says", database=db, project=other).steps["says"].result)
    assert results == [1, 2]


def test_a_run_that_cannot_go_on_is_an_error_that_names_its_steps(
    db: FreshDatabase, project: Path
) -> None:
    limited = CHILD.replace("params:", "concurrency: {limit: 1, on_conflict: queue}\nparams:")
    write(project, "child", limited)
    run_pipeline("child", {"n": 1}, database=db, project=project)
    # A worker elsewhere has it, and its run is the one that may be there.
    db.execute(
        "update headrace.job set status = 'started', worker = 'another', result = null,"
        " finished_at = null, started_at = clock_timestamp()"
    )
    db.execute("update headrace.run set status = 'running', finished_at = null")

    with pytest.raises(HeadraceError, match=r"the run does not go on: fib \(waiting\)"):
        run_pipeline("child", {"n": 1}, database=db, project=project)


# -- the shipped pipelines ----------------------------------------------------------------


def test_example_flights_become_the_daily_mart(db: FreshDatabase) -> None:
    run = run_pipeline("flights_warehouse", database=db, project=ROOT)

    assert run.status == "completed", run
    (sums,) = db.rows("select sum(flights)::int as n from flights.daily_carrier")
    (flights,) = db.rows("select count(*)::int as n from flights.flight")
    assert sums == flights


def test_example_check_fails_on_purpose_and_publishes_nothing(db: FreshDatabase) -> None:
    run = run_pipeline("consistency_check", database=db, project=ROOT)

    assert statuses(run) == {"prepare": "completed", "check": "failed", "publish": "skipped"}
    assert run.steps["publish"].skip_reason == "upstream_failed"
    assert db.rows("select to_regclass('example_check.published') as there") == [{"there": None}]


def test_example_totals_are_those_of_the_hour_that_is_given(db: FreshDatabase) -> None:
    run = run_pipeline(
        "hourly_aggregation", database=db, project=ROOT, logical_date="2025-01-31T06:00"
    )

    assert run.status == "completed", run
    assert db.rows("select distinct hour::text from example_hourly.totals") == [
        {"hour": "2025-01-31 06:00:00+00"}
    ]


TWICE = """
name: twice
steps:
  - {id: a, job: RunSql, with: {sql: "CREATE TABLE IF NOT EXISTS done (n int)"}}
  - {id: b, job: RunSql, depends_on: [a], with: {sql: "INSERT INTO done VALUES (1)"}}
"""


def test_a_message_that_comes_twice_has_no_second_effect(
    db: FreshDatabase, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "twice", TWICE)

    def send(self: KeptMessages, messages: Iterable[Message]) -> None:
        for one in messages:
            self.kept += (one, one)

    monkeypatch.setattr(KeptMessages, "send", send)

    run = run_pipeline("twice", database=db, project=project)

    assert (run.status, statuses(run)) == ("completed", {"a": "completed", "b": "completed"})
    assert db.rows("select n from done") == [{"n": 1}]


def test_an_attempt_that_is_over_leaves_nothing_and_the_run_says_what_it_waits_for(
    db: FreshDatabase, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "twice", f"{TWICE}  - {{id: c, job: RunSql, with: {{sql: CREATE TABLE c ()}}}}")
    first = [True]

    def over(*given: Any) -> Any:
        if first and first.pop():
            raise StaleAttempt("attempt 1 is over")
        return record_end(*given)

    monkeypatch.setattr(pipeline_run, "record_end", over)

    with pytest.raises(HeadraceError) as caught:
        run_pipeline("twice", database=db, project=project)

    assert str(caught.value).startswith("the run does not go on: a (started), b (waiting); ")
    made = db.rows("select to_regclass('done')::text as done, to_regclass('c')::text as c")
    assert made == [{"done": None, "c": "c"}]
