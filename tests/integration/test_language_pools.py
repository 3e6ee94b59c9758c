"""Pools and `max_concurrent`: how many jobs run at a time, whatever becomes of them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from headrace.engine.gating.gate import decide, recount_stuck
from headrace.engine.gating.pools import assign_slots
from headrace.engine.gating.run_completion import finish_runs
from headrace.engine.operations.recovery import Recovery
from headrace.engine.planning.planner import Planner
from headrace.model.status import Trigger
from tests.support.by_hand import ByHand, by_hand

OK = "job: RunSql, with: {sql: select 1}"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        headrace = made.headrace
        headrace.settings = replace(headrace.settings, pools={"two": 2})
        yield made


def queued(hand: ByHand) -> list[str]:
    rows = hand.headrace.database.rows("overdue_messages", older_than_s=0)
    jobs = [hand.headrace.database.row("job", id=row["id"]) for row in rows]
    return sorted(job["step"] for job in jobs if job)


def declare(hand: ByHand, name: str, steps: str) -> None:
    folder = hand.headrace.settings.pipelines
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(f"name: {name}\nsteps:\n{steps}")


def claim(hand: ByHand, step: str) -> tuple[str, int]:
    """Have a worker claim a queued step, and say no more."""
    rows = hand.headrace.database.rows("overdue_messages", older_than_s=0)
    for row in rows:
        job = hand.headrace.database.row("job", id=row["id"])
        assert job is not None
        if job["step"] == step:
            assert hand.executor.store.claim(str(row["id"]), row["attempt"])
            return str(row["id"]), row["attempt"] + 1
    raise AssertionError(step)


def test_items_run_as_many_at_a_time_as_the_step_says(hand: ByHand) -> None:
    declare(
        hand,
        "each",
        f"  - {{id: each, {OK}, foreach: {{items: [1, 2, 3, 4, 5], max_concurrent: 2}}}}\n"
        f"  - {{id: last, {OK}, depends_on: [each]}}\n",
    )
    first, second = (hand.headrace.start_run("each", {}) for _ in range(2))

    # Two of each run.
    assert queued(hand) == ["each[0]", "each[0]", "each[1]", "each[1]"]
    assert list(hand.statuses(first).values()).count("waiting") == 4
    hand.work()

    for run in (first, second):
        assert set(hand.statuses(run).values()) == {"completed"}
        row = hand.headrace.database.row("run", id=run["id"])
        assert row is not None
        assert row["status"] == "completed"


def test_a_pool_counts_the_jobs_of_all_pipelines(hand: ByHand) -> None:
    declare(hand, "a", f"  - {{id: a1, {OK}, pool: two}}\n  - {{id: a2, {OK}, pool: two}}\n")
    declare(hand, "b", f"  - {{id: b1, {OK}, pool: two}}\n  - {{id: b2, {OK}}}\n")
    runs = [hand.headrace.start_run(name, {}) for name in "ab"]

    assert queued(hand) == ["a1", "a2", "b2"]
    hand.work()

    for run in runs:
        assert set(hand.statuses(run).values()) == {"completed"}


def test_a_later_step_waits_for_a_slot_and_a_failure_frees_one(hand: ByHand) -> None:
    declare(
        hand,
        "later",
        f"  - {{id: first, {OK}}}\n"
        "  - {id: bad, job: FailedJob, pool: two, depends_on: [first], foreach: {items: [1, 2, 3]},"
        " retry: {limit: 0}, allow_failure: true}\n"
        f"  - {{id: last, {OK}, pool: two, depends_on: [bad]}}\n",
    )

    run = hand.run("later")

    assert hand.statuses(run)["last"] == "completed"
    assert run["status"] == "completed"


def test_a_condition_is_looked_at_before_a_slot_is_taken(hand: ByHand) -> None:
    declare(
        hand,
        "conditional",
        f"  - {{id: no, {OK}, pool: two, when: 1 > 2}}\n"
        f"  - {{id: yes, {OK}, pool: two, when: 2 > 1}}\n"
        f"  - {{id: then, {OK}, pool: two, depends_on: [yes],"
        " when: steps.yes.status == 'failed'}\n",
    )

    run = hand.run("conditional")

    assert hand.statuses(run) == {"no": "skipped", "yes": "completed", "then": "skipped"}
    assert run["status"] == "completed"


def test_a_dead_holder_keeps_no_slot(hand: ByHand) -> None:
    declare(hand, "dying", f"  - {{id: each, {OK}, pool: two, foreach: {{items: [1, 2, 3]}}}}\n")
    hand.headrace.start_run("dying", {})
    database = hand.headrace.database
    for step in ("each[0]", "each[1]"):
        job, attempt = claim(hand, step)
        if step == "each[0]":
            database.rows(
                "lose_attempts",
                attempts=json.dumps([{"id": job, "attempt": attempt}]),
                outcome="crashed",
                error="its worker died",
                crash_budget=1,
            )
    assert queued(hand) == []

    # What the daemon does every second.
    Recovery(database, hand.headrace.sender, lambda: 0.0).tick()

    assert queued(hand) == ["each[2]"]


def test_a_wait_for_a_retry_holds_no_slot_and_its_end_takes_one(hand: ByHand) -> None:
    declare(
        hand,
        "retried",
        "  - {id: bad, job: FailedJob, pool: two, foreach: {items: [1, 2]},"
        " retry: {limit: 1, delay: 0s}}\n"
        f"  - {{id: z, {OK}, pool: two}}\n",
    )
    run = hand.headrace.start_run("retried", {})
    database = hand.headrace.database
    claim(hand, "bad[0]")
    bad, attempt = claim(hand, "bad[1]")
    assert queued(hand) == []

    database.rows(
        "fail_attempt",
        id=bad,
        attempt=attempt,
        outcome="failed",
        error="bad",
        traceback="",
        retry_in=3600,
    )
    assert len(assign_slots(database)) == 1
    assert hand.statuses(run)["z"] == "queued"
    with database.transaction() as tx:
        tx.connection.exec_driver_sql(
            "UPDATE headrace.job SET next_retry_time = clock_timestamp() WHERE status = 'retrying'"
        )
    assert database.rows("due_retries") == []
    assert assign_slots(database) == []
    assert hand.statuses(run)["bad[1]"] == "retrying"
    hand.work()

    assert hand.statuses(run) == {"bad[0]": "started", "bad[1]": "failed", "z": "completed"}


def test_no_sweep_lets_a_job_pass_without_a_slot(hand: ByHand) -> None:
    declare(hand, "many", f"  - {{id: each, {OK}, pool: two, foreach: {{items: [1, 2, 3]}}}}\n")
    run = hand.headrace.start_run("many", {})

    with hand.headrace.database.transaction() as tx:
        assert decide(tx) == ([], set())
        assert recount_stuck(tx, 0) == []

    assert assign_slots(hand.headrace.database) == []
    assert hand.statuses(run)["each[2]"] == "waiting"
    hand.headrace.interventions.cancel_run(str(run["id"]))
    assert assign_slots(hand.headrace.database) == []


def test_queued_runs_and_handlers_take_slots_as_well(hand: ByHand) -> None:
    hand.declare(
        f"""
name: handled
concurrency: {{limit: 1}}
steps:
  - {{id: load, {OK}, pool: two}}
handlers:
  finally: [{{id: tidy, {OK}, pool: two}}]
"""
    )
    runs = [hand.headrace.start_run("handled", {}) for _ in range(2)]
    assert queued(hand) == ["load"]

    for _ in range(4):
        hand.work()
        assign_slots(hand.headrace.database)

    for run in runs:
        assert hand.statuses(run) == {"load": "completed", "tidy": "completed"}


def test_the_last_handlers_wait_for_one_that_waits_for_a_slot(hand: ByHand) -> None:
    declare(hand, "holder", f"  - {{id: each, {OK}, pool: two, foreach: {{items: [1, 2]}}}}\n")
    declare(
        hand,
        "handled",
        f"""  - {{id: load, {OK}}}
handlers:
  success: [{{id: cheer, {OK}, pool: two}}]
  finally: [{{id: tidy, {OK}}}]
""",
    )
    hand.headrace.start_run("holder", {})
    holders = [claim(hand, f"each[{index}]") for index in range(2)]
    run = hand.headrace.start_run("handled", {})
    hand.work()

    assert hand.statuses(run) == {"load": "completed", "cheer": "waiting", "tidy": "waiting"}
    assert not hand.headrace.database.rows("forgotten_runs")
    assert finish_runs(hand.headrace.database, [run["id"]]) == ([], [])
    assert hand.statuses(run)["tidy"] == "waiting"
    assert len(holders) == 2


def test_a_retried_run_takes_slots_anew(hand: ByHand) -> None:
    declare(
        hand,
        "again",
        "  - {id: bad, job: FailedJob, foreach: {items: [1, 2, 3], max_concurrent: 1},"
        " retry: {limit: 0}}\n",
    )
    run = hand.run("again")
    assert set(hand.statuses(run).values()) == {"failed"}

    hand.headrace.interventions.retry_run(str(run["id"]))
    assign_slots(hand.headrace.database)

    assert queued(hand) == ["bad[0]"]
    hand.work()
    assert set(hand.statuses(run).values()) == {"failed"}


def test_many_that_end_at_once_never_pass_the_number_of_slots(hand: ByHand) -> None:
    declare(hand, "wide", f"  - {{id: each, {OK}, pool: two, foreach: {{items: [1, 2, 3]}}}}\n")
    headrace = hand.headrace
    planner = Planner(headrace.settings, headrace.pipelines, headrace.registry)
    pipeline = headrace.pipelines.get("wide")
    plan = planner.plan(pipeline, {}, datetime(2026, 1, 1, tzinfo=UTC), Trigger.MANUAL)
    start = headrace.dispatcher.start_run
    threads = [Thread(target=start, args=(plan, Trigger.MANUAL)) for _ in range(6)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(queued(hand)) == 2
    hand.work()
    assert not headrace.database.rows("open_run_counts")
