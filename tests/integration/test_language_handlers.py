"""Handlers: steps that run after the others, by how those have ended."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.gating.gate import decide, recount_stuck
from headrace.engine.gating.run_completion import finish_runs
from headrace.errors import IllegalTransition
from headrace.store.database import Row
from tests.support.by_hand import ByHand, by_hand

OK = "job: RunSql, with: {sql: select 1}"
FAILS = "job: FailedJob, retry: {limit: 0}"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


def declare(hand: ByHand, step: str, *, failure: str = OK, more: str = "", top: str = "") -> None:
    hand.declare(
        f"""
name: handled
params: {{n: {{type: integer, default: 1}}}}
{top}
steps:
  - {{id: load, {step}}}
  - {{id: after, {OK}, depends_on: [load]}}
handlers:
  success: [{{id: cheer, {OK}}}]
  failure: [{{id: note, {failure}}}]
  finally:
    - {{id: tidy, {OK}}}
{more}
"""
    )


def test_after_a_success_the_handlers_for_it_run_and_then_the_last_ones(hand: ByHand) -> None:
    declare(hand, OK)
    started = hand.headrace.start_run("handled", {})

    order = hand.work()

    assert order == ["load", "after", "cheer", "tidy"]
    assert hand.statuses(started)["note"] == "skipped"
    run = hand.headrace.database.row("run", id=started["id"])
    assert run is not None
    assert run["status"] == "completed"
    assert run["finished_at"] >= hand.jobs(started)["tidy"]["finished_at"]


def test_after_a_failure_the_handlers_for_it_run_and_then_the_last_ones(hand: ByHand) -> None:
    declare(hand, FAILS)
    started = hand.headrace.start_run("handled", {})

    assert hand.work() == ["load", "note", "tidy"]

    assert hand.statuses(started)["cheer"] == "skipped"
    assert hand.statuses(started)["after"] == "skipped"
    row = hand.headrace.database.row("run", id=started["id"])
    assert row is not None
    assert row["status"] == "failed"


def test_a_run_whose_step_may_fail_is_a_success_for_its_handlers(hand: ByHand) -> None:
    declare(hand, f"{FAILS}, allow_failure: true")

    run = hand.run("handled")

    assert hand.statuses(run)["cheer"] == "completed"
    assert run["status"] == "completed"


def test_a_failed_handler_fails_the_run_and_the_last_ones_run_all_the_same(hand: ByHand) -> None:
    declare(hand, OK)
    pipeline = hand.headrace.settings.pipelines / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace(f"cheer, {OK}", f"cheer, {FAILS}"))

    run = hand.run("handled")

    assert hand.statuses(run)["tidy"] == "completed"
    assert run["status"] == "failed"


@pytest.mark.parametrize(("step", "outcome"), [(OK, "completed"), (FAILS, "failed")])
def test_a_handler_knows_how_the_run_and_its_steps_have_ended(
    hand: ByHand, step: str, outcome: str
) -> None:
    more = """
    - id: tell
      job: RunSql
      with:
        sql: select {{ params.run }} as run, {{ params.load }} as load
        params: {run: "{{ run.status }}", load: "{{ steps.load.status }}"}
    - {id: only, when: "run.status == 'failed' and steps.load.status == 'failed'", job: RunSql,
       with: {sql: select 1}}
"""
    declare(hand, step, more=more)

    run = hand.run("handled")

    assert hand.jobs(run)["tell"]["result"]["rows"] == [{"run": outcome, "load": outcome}]
    assert hand.statuses(run)["only"] == ("completed" if outcome == "failed" else "skipped")


def test_no_sweep_lets_a_handler_run_before_its_turn(hand: ByHand) -> None:
    declare(hand, OK)
    run = hand.headrace.start_run("handled", {})

    with hand.headrace.database.transaction() as tx:
        assert decide(tx) == ([], set())
        assert recount_stuck(tx, 0) == []
    assert not hand.headrace.database.rows("forgotten_runs")

    assert hand.statuses(run)["tidy"] == "waiting"


def test_the_sweep_opens_handlers_that_a_dead_worker_has_not(hand: ByHand) -> None:
    declare(hand, FAILS)
    run = hand.headrace.start_run("handled", {})
    (queued,) = hand.headrace.database.rows("overdue_messages", older_than_s=0)
    claimed = hand.executor.store.claim(str(queued["id"]), 0)
    assert claimed is not None
    handled = hand.executor.handle(claimed)
    hand.executor.fail(claimed, handled)  # type: ignore[arg-type]  # and dies
    settled = [row["id"] for row in hand.headrace.database.rows("forgotten_runs")]
    assert settled == [run["id"]]

    _closed, messages = finish_runs(hand.headrace.database, settled)

    assert len(messages) == 1
    assert hand.statuses(run)["note"] == "queued"
    assert finish_runs(hand.headrace.database, settled) == ([], [])


def test_a_run_of_which_every_step_is_skipped_has_its_handlers_run(hand: ByHand) -> None:
    declare(hand, f"{OK}, when: params.n > 1")

    run = hand.run("handled")

    assert hand.statuses(run) == {
        "load": "skipped",
        "after": "skipped",
        "cheer": "completed",
        "note": "skipped",
        "tidy": "completed",
    }
    assert run["status"] == "completed"


def test_a_cancelled_run_tidies_up_before_it_ends(hand: ByHand) -> None:
    declare(hand, OK)
    run = hand.headrace.start_run("handled", {})

    row = hand.headrace.interventions.cancel_run(str(run["id"]))

    assert (row["status"], row["cancelled_at"] is not None) == ("running", True)
    assert hand.work() == ["tidy"]
    assert hand.statuses(run) == {
        "load": "cancelled",
        "after": "cancelled",
        "cheer": "cancelled",
        "note": "cancelled",
        "tidy": "completed",
    }
    assert hand.headrace.database.row("run", id=run["id"])["status"] == "cancelled"  # type: ignore[index]


def test_a_run_that_is_cancelled_twice_ends_at_once(hand: ByHand) -> None:
    declare(hand, OK)
    run = hand.headrace.start_run("handled", {})

    hand.headrace.interventions.cancel_run(str(run["id"]))
    row = hand.headrace.interventions.cancel_run(str(run["id"]))

    assert row["status"] == "cancelled"
    assert set(hand.statuses(run).values()) == {"cancelled"}
    assert hand.work() == []


def test_a_run_that_waited_for_its_turn_has_nothing_to_tidy_up(hand: ByHand) -> None:
    declare(hand, OK, top="concurrency: {limit: 1}")
    hand.headrace.start_run("handled", {})
    second = hand.headrace.start_run("handled", {})

    assert hand.headrace.interventions.cancel_run(str(second["id"]))["status"] == "cancelled"
    assert hand.work() == ["load", "after", "cheer", "tidy"]


def test_a_run_whose_place_is_taken_tidies_up_before_the_next_one_runs(hand: ByHand) -> None:
    declare(hand, OK, top="concurrency: {limit: 1, on_conflict: replace}")
    first = hand.headrace.start_run("handled", {})
    second = hand.headrace.start_run("handled", {})
    third = hand.headrace.start_run("handled", {})

    assert second["status"] == "queued"
    assert third["status"] == "queued"
    assert hand.work() == ["tidy", "load", "after", "cheer", "tidy"]
    rows = [hand.headrace.database.row("run", id=run["id"]) for run in (first, second, third)]
    assert [row and row["status"] for row in rows] == ["cancelled", "cancelled", "completed"]


def test_after_a_cancelled_job_only_the_last_handlers_run(hand: ByHand) -> None:
    declare(hand, OK)
    run = hand.headrace.start_run("handled", {})

    hand.headrace.interventions.cancel_job(str(hand.jobs(run)["load"]["id"]))

    assert hand.work() == ["tidy"]
    assert hand.statuses(run)["note"] == "skipped"
    row = hand.headrace.database.row("run", id=run["id"])
    assert row is not None
    assert row["status"] == "cancelled"


def test_a_retried_run_ends_anew_with_all_its_handlers(hand: ByHand) -> None:
    step = 'job: RunSql, retry: {limit: 0}, with: {sql: "select 1 / (select n from divisor)"}'
    declare(hand, step)
    database = hand.headrace.database
    with database.transaction() as tx:
        tx.connection.exec_driver_sql("CREATE TABLE public.divisor AS SELECT 0 AS n")
    run = hand.run("handled")
    assert run["status"] == "failed"
    assert hand.statuses(run)["cheer"] == "skipped"
    with database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE public.divisor SET n = 1")

    hand.headrace.interventions.retry_run(str(run["id"]))
    order = hand.work()

    assert order == ["load", "after", "cheer", "tidy"]
    row = database.row("run", id=run["id"])
    assert row is not None
    assert row["status"] == "completed"
    with database.transaction() as tx:
        tx.connection.exec_driver_sql("DROP TABLE public.divisor")


@pytest.mark.parametrize(
    ("items", "jobs"),
    [
        ("[1, 2]", ["tell[0]", "tell[1]"]),
        ('"{{ [1, 2] if steps.load.status else [] }}"', ["tell", "tell[0]", "tell[1]"]),
    ],
)
def test_a_retried_run_tells_each_item_of_a_handler_again(
    hand: ByHand, items: str, jobs: list[str]
) -> None:
    declare(hand, FAILS, more=f"    - {{id: tell, {OK}, foreach: {{items: {items}}}}}")
    run = hand.run("handled")
    assert run["status"] == "failed"

    hand.headrace.interventions.retry_run(str(run["id"]))

    assert hand.work() == ["load", "note", "tidy", *jobs]


def test_nothing_is_retried_beside_handlers(hand: ByHand) -> None:
    """A `finally` that cleans up would take what the retried step has just made."""
    declare(hand, FAILS)
    alone = hand.headrace.dispatcher.dispatch("FailedJob", {}, retry=0)
    hand.work()
    run = hand.headrace.start_run("handled", {})
    hand.work_once()
    jobs = hand.jobs(run)
    assert [jobs[one]["status"] for one in ("load", "note", "tidy")] == [
        "failed", "queued", "waiting",
    ]  # fmt: skip
    interventions = hand.headrace.interventions
    later = "(note); retry when the run has ended, or cancel them first"

    with pytest.raises(IllegalTransition) as of_run:
        interventions.retry_run(str(run["id"]))
    with pytest.raises(IllegalTransition) as of_job:
        interventions.retry_job(str(jobs["load"]["id"]))
    assert str(of_run.value) == f"run {run['id']}: its handlers are at work {later}"
    assert str(of_job.value) == (
        f"job {jobs['load']['id']}: handlers of its run are at work {later}"
    )
    with pytest.raises(IllegalTransition, match=r"is queued; only a failed or cancelled job"):
        interventions.retry_job(str(jobs["note"]["id"]))
    assert interventions.retry_all_failed() == ([alone], [str(jobs["load"]["id"])])
    assert hand.jobs(run) == jobs

    assert hand.work() == ["FailedJob", "note", "tidy"]
    assert interventions.retry_all_failed() == ([alone, str(jobs["load"]["id"])], [])


def jobs_of(hand: ByHand, run: Mapping[str, Any]) -> list[Row]:
    """Return all jobs of a run, those that were made again, too, in the order of their making."""
    rows = hand.headrace.database.rows("jobs_of_run", run_id=run["id"])
    return sorted(rows, key=lambda row: str(row["id"]))


OF_RESULT = (
    "    - {id: tell, job: RunSql, retry: {limit: 0},"
    """ foreach: {items: "{{ [1, 2] if steps.load.status else [] }}"},"""
    ' with: {sql: "select 1 / ({{ params.n }} - 1)", params: {n: "{{ item }}"}}}'
)


@pytest.mark.parametrize("of_run", [True, False], ids=["run", "item"])
def test_an_item_of_a_result_that_has_failed_is_told_once_after_each_retry(
    hand: ByHand, of_run: bool
) -> None:
    """A retry makes the items anew, since the result may be another one: the old ones are over."""
    declare(hand, FAILS, more=OF_RESULT)
    run = hand.run("handled")
    assert hand.statuses(run)["tell[0]"] == "failed"
    interventions = hand.headrace.interventions

    for _ in range(2):
        failed = [job for job in jobs_of(hand, run) if job["status"] == "failed"]
        (item,) = (job for job in failed if job["step"] == "tell[0]")
        if of_run:
            interventions.retry_run(str(run["id"]))
        else:
            interventions.retry_job(str(item["id"]))

        again = ["load", "note"] if of_run else ["note"]
        assert hand.work() == [*again, "tidy", "tell", "tell[0]", "tell[1]"]
        known = jobs_of(hand, run)
        assert [job["status"] for job in known if job["id"] == item["id"]] == ["skipped"]
        told = [job["status"] for job in known if job["step"].startswith("tell[")]
        assert sorted(told[-2:]) == ["completed", "failed"]
        row = hand.headrace.database.row("run", id=run["id"])
        assert row is not None
        assert row["status"] == "failed"


def test_a_failed_handler_can_be_retried_by_itself(hand: ByHand) -> None:
    declare(hand, FAILS, failure=FAILS)
    run = hand.run("handled")
    note = hand.jobs(run)["note"]
    assert note["status"] == "failed"

    hand.headrace.interventions.retry_job(str(note["id"]))

    assert hand.statuses(run)["note"] == "queued"
    assert hand.work() == ["note", "tidy"]
    row = hand.headrace.database.row("run", id=run["id"])
    assert row is not None
    assert row["status"] == "failed"


def test_a_run_keeps_its_place_until_its_handlers_have_ended(hand: ByHand) -> None:
    declare(hand, OK, top="concurrency: {limit: 1}")
    hand.headrace.start_run("handled", {})
    hand.headrace.start_run("handled", {})

    assert hand.work() == ["load", "after", "cheer", "tidy"] * 2
