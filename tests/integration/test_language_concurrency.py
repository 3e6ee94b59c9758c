"""How many runs run at a time, and what becomes of one more."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from headrace.engine.gating.gate import decide, recount_stuck
from headrace.engine.gating.run_completion import release
from headrace.errors import TooManyRuns
from headrace.model.status import Trigger
from tests.support.by_hand import ByHand, by_hand

STEPS = """
steps:
  - {id: first, job: RunSql, with: {sql: select 1}}
  - {id: last, job: RunSql, depends_on: [first], with: {sql: select 1}}
"""


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


def declare(hand: ByHand, rule: str, steps: str = STEPS) -> None:
    hand.declare(f"name: limited\nconcurrency: {{{rule}}}\n{steps}")


def start(hand: ByHand, count: int = 1) -> Sequence[Mapping[str, Any]]:
    return [hand.headrace.start_run("limited", {}) for _ in range(count)]


def status(hand: ByHand, run: Mapping[str, Any]) -> Any:
    row = hand.headrace.database.row("run", id=run["id"])
    assert row is not None
    return row["status"]


def queued_jobs(hand: ByHand) -> int:
    return len(hand.headrace.database.rows("overdue_messages", older_than_s=0))


def test_a_run_above_the_limit_waits_and_nothing_of_it_is_queued(hand: ByHand) -> None:
    declare(hand, "limit: 2")

    runs = start(hand, 4)

    assert [status(hand, run) for run in runs] == ["running", "running", "queued", "queued"]
    assert queued_jobs(hand) == 2
    assert hand.statuses(runs[2]) == {"first": "waiting", "last": "waiting"}
    assert runs[2]["started_at"] is None


def test_queued_runs_follow_in_their_order_as_runs_end(hand: ByHand) -> None:
    declare(hand, "limit: 1")
    runs = start(hand, 3)

    hand.work()

    rows = [hand.headrace.database.row("run", id=run["id"]) for run in runs]
    assert [row["status"] for row in rows if row] == ["completed"] * 3
    spans = [(row["started_at"], row["finished_at"]) for row in rows if row]
    assert spans == sorted(spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_a_failed_run_frees_its_place(hand: ByHand) -> None:
    declare(hand, "limit: 1", "steps: [{id: bad, job: FailedJob, retry: {limit: 0}}]")
    runs = start(hand, 2)

    hand.work()

    assert [status(hand, run) for run in runs] == ["failed", "failed"]


def test_a_cancelled_run_frees_its_place(hand: ByHand) -> None:
    declare(hand, "limit: 1")
    runs = start(hand, 3)

    hand.headrace.interventions.cancel_run(str(runs[0]["id"]))
    job = hand.jobs(runs[1])["first"]
    assert [status(hand, run) for run in runs] == ["cancelled", "running", "queued"]
    hand.headrace.interventions.cancel_job(str(job["id"]))

    assert [status(hand, run) for run in runs] == ["cancelled", "cancelled", "running"]


def test_a_queued_run_can_be_cancelled_and_is_passed_over(hand: ByHand) -> None:
    declare(hand, "limit: 1")
    runs = start(hand, 3)

    hand.headrace.interventions.cancel_run(str(runs[1]["id"]))
    hand.work()

    assert [status(hand, run) for run in runs] == ["completed", "cancelled", "completed"]


def test_the_sweep_releases_what_a_dead_worker_has_not(hand: ByHand) -> None:
    declare(hand, "limit: 1")
    runs = start(hand, 2)
    database = hand.headrace.database
    with database.transaction() as tx:  # the first run ends, and whoever ended it dies
        tx.rows("cancel_run", id=runs[0]["id"], error=None)
        tx.rows("cancel_jobs", ids=[], run_id=runs[0]["id"], keep_finally=False)
    assert status(hand, runs[1]) == "queued"

    groups = [row["name"] for row in database.rows("groups_with_queued_runs")]
    messages = release(database, groups)

    assert status(hand, runs[1]) == "running"
    assert len(messages) == 1


def test_the_sweep_leaves_the_first_steps_of_a_queued_run_waiting(hand: ByHand) -> None:
    declare(hand, "limit: 1")
    running, queued = start(hand, 2)

    with hand.headrace.database.transaction() as tx:
        assert recount_stuck(tx, 0) == []
        assert decide(tx) == ([], set())

    assert hand.statuses(queued) == {"first": "waiting", "last": "waiting"}
    assert hand.statuses(running) == {"first": "queued", "last": "waiting"}
    assert hand.work() == ["first", "last"] * 2


def test_a_skipped_run_has_no_jobs_and_says_why(hand: ByHand) -> None:
    declare(hand, "limit: 1, on_conflict: skip")

    first, second = start(hand, 2)

    assert (first["status"], second["status"]) == ("running", "skipped")
    assert "1 run is running of the 1" in second["error"]
    assert hand.jobs(second) == {}
    hand.work()
    assert start(hand)[0]["status"] == "running"


def test_a_run_takes_the_place_of_the_oldest_one(hand: ByHand) -> None:
    declare(hand, "limit: 2, on_conflict: replace")

    runs = start(hand, 3)

    assert [status(hand, run) for run in runs] == ["cancelled", "running", "running"]
    assert set(hand.statuses(runs[0]).values()) == {"cancelled"}
    old = hand.headrace.database.row("run", id=runs[0]["id"])
    assert old is not None
    assert str(runs[2]["id"]) in old["error"]


def test_runs_that_come_together_replace_each_other_too(hand: ByHand) -> None:
    declare(hand, "limit: 1, on_conflict: replace")
    headrace = hand.headrace
    day = datetime(2026, 1, 1, tzinfo=UTC)
    plans = [
        (headrace.planner.plan(headrace.pipelines.get("limited"), {}, at, Trigger.BACKFILL), kind)
        for at, kind in [(day + timedelta(days=n), Trigger.BACKFILL) for n in range(3)]
    ]

    with headrace.database.transaction() as tx:
        rows, _ = headrace.dispatcher.insert_runs(tx, plans)

    assert [row["status"] for row in rows] == ["cancelled", "cancelled", "running"]
    hand.work()
    assert status(hand, rows[2]) == "completed"


def test_a_run_that_may_not_start_leaves_no_row_and_its_caller_is_told(hand: ByHand) -> None:
    declare(hand, "limit: 1, on_conflict: fail")
    start(hand)

    with pytest.raises(TooManyRuns, match="1 run is running of the 1"):
        start(hand)

    assert len(hand.headrace.database.rows("open_run_counts")) == 1


def test_an_instant_whose_run_may_not_start_has_a_failed_run_that_says_why(hand: ByHand) -> None:
    declare(hand, "limit: 1, on_conflict: fail")
    start(hand)
    headrace = hand.headrace
    day = datetime(2026, 1, 1, tzinfo=UTC)
    plan = headrace.planner.plan(headrace.pipelines.get("limited"), {}, day, Trigger.BACKFILL)

    with headrace.database.transaction() as tx:
        (row,), messages = headrace.dispatcher.insert_runs(tx, [(plan, Trigger.BACKFILL)])

    assert row["status"] == "failed"
    assert "on_conflict: fail" in str(row["error"])
    assert row["finished_at"] is not None
    assert (messages, hand.jobs(row)) == ([], {})


def test_pipelines_of_one_group_count_together(hand: ByHand) -> None:
    declare(hand, "limit: 1, group: warehouse")
    other = hand.headrace.settings.pipelines / "other.yaml"
    other.write_text(f"name: other\nconcurrency: {{limit: 1, group: warehouse}}\n{STEPS}")
    (first,) = start(hand)

    second = hand.headrace.start_run("other", {})

    assert second["status"] == "queued"
    hand.work()
    assert [status(hand, run) for run in (first, second)] == ["completed", "completed"]


def test_conditions_of_first_steps_are_decided_when_the_run_starts(hand: ByHand) -> None:
    steps = """
steps:
  - {id: never, job: RunSql, when: 1 > 2, with: {sql: select 1}}
"""
    declare(hand, "limit: 1")
    (blocking,) = start(hand)
    declare(hand, "limit: 1", steps)
    empty = start(hand, 2)
    declare(hand, "limit: 1")
    (last,) = start(hand)
    assert hand.statuses(empty[0]) == {"never": "waiting"}

    hand.work()

    ended = [status(hand, run) for run in (blocking, *empty, last)]
    assert ended == ["completed"] * 4


def test_a_pause_between_attempts_keeps_the_place(hand: ByHand) -> None:
    declare(hand, "limit: 1", "steps: [{id: bad, job: FailedJob, retry: {limit: 1, delay: 1h}}]")
    runs = start(hand, 2)

    hand.work()

    assert hand.statuses(runs[0]) == {"bad": "retrying"}
    assert [status(hand, run) for run in runs] == ["running", "queued"]


def test_many_at_once_never_pass_the_limit(hand: ByHand) -> None:
    declare(hand, "limit: 3")
    threads = [Thread(target=start, args=(hand, 4)) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    counts = {row["status"]: row["runs"] for row in hand.headrace.database.rows("open_run_counts")}
    assert counts == {"running": 3, "queued": 13}, json.dumps(counts)
    hand.work()
    assert not hand.headrace.database.rows("open_run_counts")
