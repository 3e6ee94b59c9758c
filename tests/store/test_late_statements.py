"""What is late, since when, and who is told of it: the statement alone."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.run_rows import RunRows

TEN_MINUTES = {"deadline_s": None, "duration_s": 600.0}


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


@pytest.fixture
def leading(made: RunRows) -> RunRows:
    made.rows.database.rows("acquire_lease", holder="one", lease_s=600.0)
    return made


def expecting(made: RunRows, limits: dict[str, Any], **columns: Any) -> UUID:
    return made.run(expected=json.dumps(limits), **{"started_at": ago(5), **columns})


def attempted(made: RunRows, job: UUID, *starts: datetime) -> None:
    for number, started in enumerate(starts, 1):
        made.rows.sql(
            "INSERT INTO headrace.job_attempt (job_id, attempt, outcome, started_at)"
            " VALUES (%(job)s, %(number)s, 'failed', %(started)s)",
            job=str(job), number=number, started=started,
        )  # fmt: skip


def late(made: RunRows, term: int = 1) -> list[tuple[UUID, str, str, float]]:
    found = made.rows.database.rows("note_late", term=term)
    return sorted((row["id"], row["step"], row["rule"], row["limit_s"]) for row in found)


def since(made: RunRows, run: UUID, step: str) -> datetime:
    return datetime.fromisoformat(made.of("run", run, "late")[step]["since"])


def test_a_step_counts_from_the_first_start_of_all_its_jobs_and_attempts(leading: RunRows) -> None:
    first, later = ago(20), ago(5)
    made = leading

    def step_of(run: UUID, name: str, started: datetime | None, **columns: Any) -> UUID:
        return made.job(run, "started", step=name, **{"started_at": started, **columns})

    items, tried, child = (expecting(made, {"s": TEN_MINUTES}) for _ in range(3))
    for name, started in (("s[0]", later), ("s[1]", first), ("s[2]", later)):
        step_of(items, name, started)
    attempted(made, step_of(tried, "s", later), first, later)
    step_of(child, "s", None, child_run=str(made.run(started_at=first)))
    # Of these none is late: what began early is another job's, step's or run's, or has ended.
    beside = [expecting(made, {"s": TEN_MINUTES}) for _ in range(3)]
    attempted(made, step_of(beside[0], "t", first), first)
    step_of(beside[0], "s", later)
    step_of(made.run(), "s", first)
    step_of(beside[1], "s", later, child_run=str(made.run(started_at=later)))
    made.job(beside[2], "completed", step="s", started_at=first)
    made.job(beside[2], "waiting", step="t")

    assert late(made) == sorted(
        (run, "s", "expected_duration", 600.0) for run in (items, tried, child)
    )
    for run in (items, tried, child):
        assert since(made, run, "s") == first + timedelta(minutes=10)
    assert late(made) == []


def test_of_two_limits_that_are_passed_the_first_one_counts(leading: RunRows) -> None:
    both = {"deadline_s": 600.0, "duration_s": 600.0}
    due = {"trigger": "schedule", "logical_date": ago(30)}
    deadline = expecting(leading, {"": both}, started_at=ago(20), pipeline="p", **due)
    duration = expecting(leading, {"": both}, started_at=ago(40), pipeline="q", **due)
    # By hand it is the time at which the run was asked for.
    made_at = {"created_at": ago(15), "logical_date": ago(30)}
    by_hand = expecting(leading, {"": both}, started_at=ago(1), **made_at)
    queued = expecting(leading, {"": both}, status="queued", started_at=None, pipeline="r", **due)
    fine = expecting(leading, {"": {**both, "deadline_s": 1200.0}}, started_at=ago(1), **made_at)

    told = {run: rule for run, _step, rule, _limit in late(leading)}

    assert told == {
        deadline: "deadline", duration: "expected_duration", by_hand: "deadline",
        queued: "deadline",
    }  # fmt: skip
    assert leading.of("run", fine, "late") is None


def test_a_step_that_is_late_is_noted_beside_what_was_late_before(leading: RunRows) -> None:
    limits = {"": {"deadline_s": None, "duration_s": 60.0}, "a": TEN_MINUTES, "b": TEN_MINUTES}
    run = expecting(leading, limits, started_at=ago(2))
    jobs = {name: leading.job(run, "started", step=name, started_at=ago(2)) for name in "ab"}

    assert [one[1] for one in late(leading)] == [""]
    for name in "ba":
        leading.rows.sql(
            "UPDATE headrace.job SET started_at = %(at)s WHERE id = %(id)s",
            at=ago(11), id=str(jobs[name]),
        )  # fmt: skip
        assert [one[1] for one in late(leading)] == [name]
    assert set(leading.of("run", run, "late")) == {"", "a", "b"}


def test_only_open_runs_are_late_and_only_for_the_daemon_that_leads(leading: RunRows) -> None:
    old = {"started_at": ago(20), "created_at": ago(20)}
    limits = {"": {"deadline_s": 600.0, "duration_s": None}}
    open_ones = [expecting(leading, limits, status=one, **old) for one in ("queued", "running")]
    ended = [
        expecting(leading, limits, status=one, **old)
        for one in ("completed", "failed", "cancelled", "skipped")
    ]
    without = leading.run(**old)

    assert late(leading, term=2) == []
    assert [one[0] for one in late(leading)] == sorted(open_ones)
    assert [leading.of("run", one, "late") for one in (*ended, without)] == [None] * 5
    expecting(leading, limits, **old)
    leading.rows.database.rows("give_up_lease", holder="one")
    assert late(leading) == []


def test_each_receiver_that_wants_to_know_is_told_what_is_late_and_since_when(
    leading: RunRows,
) -> None:
    limits = {"": {"deadline_s": None, "duration_s": 60.0}, "s": TEN_MINUTES}
    started = ago(20)
    wanted = {"on": ["failure", "late"], "to": ["a", "b"]}
    run = expecting(leading, limits, started_at=started, notify=json.dumps(wanted))
    leading.job(run, "started", step="s", started_at=started)
    for notify in ({"on": ["failure"], "to": ["a"]}, None):
        expecting(leading, limits, started_at=started, notify=json.dumps(notify))

    late(leading)

    told = leading.rows.sql(
        "SELECT * FROM headrace.notification ORDER BY receiver, step NULLS FIRST"
    )
    assert [(row["receiver"], row["step"]) for row in told] == [
        ("a", None), ("a", "s"), ("b", None), ("b", "s"),
    ]  # fmt: skip
    assert {(row["kind"], row["pipeline"], row["run_id"]) for row in told} == {("late", "p", run)}
    content = told[0]["content"]
    times = {name: datetime.fromisoformat(content.pop(name)) for name in ("started_at", "since")}
    assert times == {"started_at": started, "since": started + timedelta(minutes=1)}
    assert datetime.fromisoformat(content.pop("logical_date")) == leading.of(
        "run", run, "logical_date"
    )
    assert content == {
        "status": "running", "trigger": "manual", "rule": "expected_duration", "limit_s": 60,
    }  # fmt: skip
    assert told[1]["content"]["limit_s"] == 600
