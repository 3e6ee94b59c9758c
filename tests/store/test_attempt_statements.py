"""How an attempt begins and ends: the statements alone, beside jobs and attempts of others."""

import json
from typing import Any
from uuid import UUID

import pytest

from headrace.store.attempts import CAN
from tests.support.run_rows import RunRows

STATE = ("status", "attempt", "worker", "result", "error", "retry_count", "crash_count")


def states(made: RunRows, *jobs: UUID) -> list[Any]:
    return [made.of("job", job, *STATE) for job in jobs]


def noted(made: RunRows) -> list[tuple[Any, ...]]:
    found = made.rows.sql(
        "SELECT job_id, attempt, outcome, worker, error, traceback, started_at IS NOT NULL AS began"
        " FROM headrace.job_attempt"
    )
    return [tuple(row.values()) for row in found]


@pytest.mark.parametrize("outcome", ["crashed", "released"])
def test_only_the_attempts_that_are_named_are_lost(made: RunRows, outcome: str) -> None:
    run = made.run()
    mine = made.job(run, "started", attempt=2, dependents=4, allow_failure=True, timeout_s=7)
    others = [
        made.job(run, "started", attempt=3),
        made.job(run, "started", attempt=2),
        made.job(run, "queued", attempt=2),
        made.job(run, "cancelled", attempt=2),
    ]
    before = states(made, *others)
    named = [(mine, 2), (others[0], 2), (others[2], 2), (others[3], 2), (UUID(int=1), 2)]

    told = made.rows.database.rows(
        "lose_attempts",
        attempts=json.dumps([{"id": str(job), "attempt": number} for job, number in named]),
        outcome=outcome, error="gone", crash_budget=2,
    )  # fmt: skip

    assert told == [
        {"id": mine, "attempt": 2, "status": "queued", "queue": "medium", "timeout_s": 7.0,
         "run_id": run, "dependents": 4, "allow_failure": True},
    ]  # fmt: skip
    assert states(made, *others) == before
    crashes, error = (1, "gone") if outcome == "crashed" else (0, None)
    assert states(made, mine) == [("queued", 2, "tests", None, error, 0, crashes)]
    assert made.of("job", mine, "queued_at") is not None
    assert noted(made) == [(mine, 2, outcome, "tests", "gone", None, True)]


@pytest.mark.parametrize("retry_in", [None, 60.0])
def test_only_the_attempt_that_is_named_fails(made: RunRows, retry_in: float | None) -> None:
    run = made.run()
    mine, other = (made.job(run, "started", attempt=2, retry_count=1) for _ in range(2))
    ended = [made.job(run, one, attempt=2) for one in ("completed", "cancelled", "queued")]
    before = states(made, other, *ended)
    values = {"outcome": "timed_out", "error": "late", "traceback": "here", "retry_in": retry_in}

    for job, attempt in ((mine, 1), (mine, 3), *((one, 2) for one in ended)):
        assert made.rows.database.rows("fail_attempt", id=job, attempt=attempt, **values) == []
    (told,) = made.rows.database.rows("fail_attempt", id=mine, attempt=2, **values)

    status, tries = ("failed", 1) if retry_in is None else ("retrying", 2)
    assert told == {
        "id": mine, "status": status, "run_id": run, "dependents": 0, "allow_failure": False,
    }  # fmt: skip
    assert states(made, mine) == [(status, 2, "tests", None, "late", tries, 0)]
    assert made.of("job", mine, "traceback") == "here"
    assert made.of("job", mine, "finished_at") is not None
    assert (made.of("job", mine, "next_retry_time") is None) == (retry_in is None)
    assert states(made, other, *ended) == before
    assert noted(made) == [(mine, 2, "timed_out", "tests", "late", "here", True)]


@pytest.mark.parametrize("statement", ["complete_attempt", "complete_alone"])
def test_only_the_attempt_that_is_named_completes(made: RunRows, statement: str) -> None:
    run = made.run()
    failed_before = {"attempt": 2, "error": "bad", "traceback": "there"}
    mine, other = (made.job(run, "started", **failed_before) for _ in range(2))
    ended = [made.job(run, one, **failed_before) for one in ("failed", "cancelled", "queued")]
    before = states(made, other, *ended)

    def complete(job: UUID, attempt: int) -> list[Any]:
        return made.rows.database.rows(statement, id=job, attempt=attempt, result="7", xact=None)

    for job, attempt in ((mine, 1), (mine, 3), *((one, 2) for one in ended)):
        assert complete(job, attempt) == []
    (told,) = complete(mine, 2)

    expected = {"ended_id": mine, "ended_run": run, "ended_dependents": 0, "recount": False,
                "released": None, "undecided": None}  # fmt: skip
    assert told == expected
    assert states(made, mine) == [("completed", 2, "tests", 7, None, 0, 0)]
    assert made.of("job", mine, "traceback") is None
    assert made.of("job", mine, "finished_at") is not None
    assert states(made, other, *ended) == before


def test_a_completion_counts_down_what_waits_below_it_and_nothing_else(made: RunRows) -> None:
    job, open_one = made.job(None, "started"), made.job(None, "started")
    below = {
        "released": made.below(made.job(deps_left=1), job),
        "asking": made.below(made.job(deps_left=1, when_expr="x"), job),
        "pooled": made.below(made.job(deps_left=1, pool="p", pool_slots=1), job),
        "waiting": made.below(made.job(deps_left=2), job, open_one),
        "any": made.below(made.job(deps_left=2, trigger_rule="one_success"), job, open_one),
        "unlucky": made.below(made.job(deps_left=1, upstream_skipped=True), job),
        "over": made.below(made.job(None, "cancelled", deps_left=1), job),
    }
    elsewhere = made.below(made.job(deps_left=1), open_one)

    (told,) = made.rows.database.rows("complete_attempt", id=job, attempt=1, result=None, xact=None)

    assert {name: made.of("job", one, "status", "deps_left") for name, one in below.items()} == {
        "released": ("queued", 0), "asking": ("waiting", 0), "pooled": ("waiting", 0),
        "waiting": ("waiting", 1), "any": ("queued", 1), "unlucky": ("waiting", 0),
        "over": ("cancelled", 1),
    }  # fmt: skip
    assert made.of("job", elsewhere, "status", "deps_left") == ("waiting", 1)
    queued = [below["released"], below["any"]]
    assert told["released"] == [[str(one), 0, "medium", 60] for one in queued]
    assert {UUID(one) for one in told["undecided"]} == {
        below[name] for name in ("asking", "pooled", "unlucky")
    }
    assert (told["recount"], told["ended_dependents"]) == (False, 7)
    times = {name: made.of("job", one, "queued_at") is not None for name, one in below.items()}
    assert {name for name, is_set in times.items() if is_set} == {"released", "any"}


@pytest.mark.parametrize("statement", ["complete_and_claim", "complete_alone_and_claim"])
@pytest.mark.parametrize(
    ("state", "attempt", "is_claimed"),
    [
        ({}, 2, True),
        ({"needs": CAN}, 2, True),
        ({"needs": CAN + 1}, 2, False),
        ({}, 1, False),
        ({"status": "cancelled"}, 2, False),
        ({"status": "started"}, 2, False),
    ],
)
def test_the_next_job_is_claimed_by_the_way_where_its_message_would_claim_it(
    made: RunRows, statement: str, state: dict[str, Any], attempt: int, is_claimed: bool
) -> None:
    run = made.run()
    mine = made.job(run, "started")
    usual = {"status": "queued", "attempt": 2, "finished_at": "2026-07-01"}
    following, other = (made.job(run, **{**usual, **state}) for _ in range(2))
    before = states(made, following, other)

    (row,) = made.rows.database.rows(
        statement, id=mine, attempt=1, result=None, xact=None, worker="w", can=CAN,
        next_id=following, next_attempt=attempt,
    )  # fmt: skip

    assert made.of("job", mine, "status") == "completed"
    assert (row["ended_id"], row["id"]) == (mine, following if is_claimed else None)
    if is_claimed:
        assert (row["attempt"], row["run_id"]) == (3, run)
        before[0] = ("started", 3, "w", *before[0][3:])
        assert made.of("job", following, "finished_at") is None
    assert states(made, following, other) == before
