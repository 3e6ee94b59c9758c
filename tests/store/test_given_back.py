"""A job that a worker cannot make: given back as long as another one may be able to."""

from typing import Any
from uuid import UUID

import pytest

from headrace.engine.attempts.unknown_jobs import PREFIX
from headrace.model.status import JobStatus
from tests.support.rows import Rows
from tests.support.run_rows import RunRows


@pytest.fixture
def made(rows: Rows) -> RunRows:
    return RunRows(rows)


def worker(
    made: RunRows,
    name: str,
    files: str,
    *,
    queue: str = "medium",
    seen: str = "0 s",
    status: str = "running",
) -> None:
    made.rows.sql(
        "INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes, status,"
        " seen_at, job_files) VALUES (%(name)s, 'h', 1, 1, ARRAY[%(queue)s], 1, %(status)s,"
        " clock_timestamp() + %(seen)s::interval, %(files)s)",
        name=name,
        queue=queue,
        status=status,
        seen=seen,
        files=files,
    )


def give_back(made: RunRows, job: UUID, attempt: int = 1, **given: Any) -> bool:
    """Give an attempt back, as of a known class, unless told otherwise."""
    usual = {"waits_s": [60.0, 600.0], "most": 4, "unknown": False, "prefix": PREFIX}
    values = {**usual, "error": "no such parameter", **given}
    row = made.rows.database.row("give_back_attempt", id=job, attempt=attempt, **values)
    return row is not None


def again(made: RunRows, job: UUID) -> None:
    made.rows.sql(
        "UPDATE headrace.job SET status = 'started', attempt = attempt + 1 WHERE id = %(id)s",
        id=str(job),
    )


def test_a_job_of_an_unknown_class_gets_some_time(made: RunRows) -> None:
    worker(made, "tests", "old")
    job, other = made.job(None, "started"), made.job(None, "started")

    assert give_back(made, job, unknown=True)

    assert made.of("job", job, "status", "given_back", "error") == (
        "retrying", 1, "no such parameter",
    )  # fmt: skip
    assert made.of("job", job, "finished_at") is not None
    assert made.of("job", other, "status") == "started"
    (noted,) = made.rows.sql("SELECT outcome, attempt, worker, error FROM headrace.job_attempt")
    assert noted == {
        "outcome": "released", "attempt": 1, "worker": "tests",
        "error": f"{PREFIX}no such parameter",
    }  # fmt: skip
    waits = []
    for attempt in (2, 3):
        waits.append(_wait_s(made, job))
        again(made, job)
        assert give_back(made, job, attempt, unknown=True) == (attempt == 2)
    assert [round(wait, -1) for wait in waits] == [60, 600]
    assert made.of("job", job, "status", "given_back") == ("started", 2)


def _wait_s(made: RunRows, job: UUID) -> float:
    (row,) = made.rows.sql(
        "SELECT extract(epoch FROM next_retry_time - clock_timestamp())::float8 AS s"
        " FROM headrace.job WHERE id = %(id)s",
        id=str(job),
    )
    return float(row["s"])


def test_one_of_a_known_class_goes_back_only_to_a_worker_that_may_know_more(
    made: RunRows,
) -> None:
    worker(made, "tests", "old")
    job = made.job(None, "started")
    for number, wrong in enumerate(
        [
            {"files": "old"},
            {"files": "new", "queue": "high"},
            {"files": "new", "seen": "-20 s"},
            {"files": "new", "status": "draining"},
        ]
    ):
        worker(made, f"wrong{number}", **wrong)
        assert not give_back(made, job), wrong
    worker(made, "newer", "new", seen="-10 s")

    assert give_back(made, job)


def test_whoever_has_returned_it_too_is_no_hope_and_neither_are_its_likes(made: RunRows) -> None:
    worker(made, "tests", "old")
    worker(made, "second", "new")
    worker(made, "third", "new")
    job = made.job(None, "started")
    assert give_back(made, job)
    again(made, job)
    made.rows.sql("UPDATE headrace.job SET worker = 'second'")

    assert not give_back(made, job, 2)
    worker(made, "fourth", "newest")
    assert give_back(made, job, 2)
    # What was released for another reason says nothing.
    stopped = made.job(None, "started", attempt=2)
    made.rows.sql(
        "INSERT INTO headrace.job_attempt (job_id, attempt, outcome, worker, started_at, error)"
        " VALUES (%(id)s, 1, 'released', 'fourth', now(), 'the worker was stopped')",
        id=str(stopped),
    )
    made.rows.sql("DELETE FROM headrace.worker WHERE name IN ('second', 'third')")
    assert give_back(made, stopped, 2)


def test_it_goes_back_no_more_often_than_is_bearable_and_only_while_it_is_ones_own(
    made: RunRows,
) -> None:
    worker(made, "tests", "old")
    worker(made, "newer", "new")
    job = made.job(None, "started", given_back=3)

    assert not give_back(made, job, 2), "it is somebody else's by now"
    assert give_back(made, job)
    assert not give_back(made, job), "it has ended"
    again(made, job)
    assert not give_back(made, job, 2)
    assert made.of("job", job, "given_back") == 4


def test_what_is_given_back_is_the_attempt_that_has_begun(made: RunRows) -> None:
    worker(made, "tests", "old")
    worker(made, "newer", "new")
    jobs = [made.job(None, status, attempt=1) for status in JobStatus if status != "started"]
    begun = made.job(None, "started", attempt=2)
    before = [made.of("job", one, "status", "given_back") for one in (*jobs, begun)]

    for job in jobs:
        assert not give_back(made, job)
        assert not give_back(made, job, unknown=True)
    for attempt in (1, 3):
        assert not give_back(made, begun, attempt)

    assert [made.of("job", one, "status", "given_back") for one in (*jobs, begun)] == before
    assert made.rows.sql("SELECT * FROM headrace.job_attempt") == []


def test_what_other_jobs_workers_have_returned_says_nothing_of_this_one(made: RunRows) -> None:
    worker(made, "tests", "old")
    worker(made, "newer", "new")
    other, job = made.job(None, "started", worker="newer"), made.job(None, "started")
    worker(made, "newest", "newest")
    assert give_back(made, other)
    made.rows.sql("DELETE FROM headrace.worker WHERE name = 'newest'")
    # Of this one's attempts only those that were returned for this reason count.
    for number, (outcome, error) in enumerate(
        [("failed", f"{PREFIX}x"), ("crashed", f"{PREFIX}x"), ("released", f"x {PREFIX}")], 5
    ):
        made.rows.sql(
            "INSERT INTO headrace.job_attempt (job_id, attempt, outcome, worker, error)"
            " VALUES (%(id)s, %(number)s, %(outcome)s, 'newer', %(error)s)",
            id=str(job), number=number, outcome=outcome, error=error,
        )  # fmt: skip

    assert give_back(made, job)


def test_a_job_needs_a_newer_worker_while_it_waits_for_one(made: RunRows) -> None:
    waiting = {"attempt": 2, "needs": 9}
    mine = made.job(None, "queued", **waiting)
    others = [made.job(None, status, **waiting) for status in JobStatus if status != "queued"]

    def needs(job: UUID, attempt: int = 2, can: int = 8) -> list[int]:
        found = made.rows.database.rows("too_new", id=job, attempt=attempt, can=can)
        return [row["needs"] for row in found]

    assert needs(mine) == [9]
    assert [needs(mine, 1), needs(mine, 3), needs(mine, can=9), needs(mine, can=10)] == [[]] * 4
    assert [needs(one) for one in others] == [[]] * 7


def test_a_job_that_was_never_given_back_has_all_its_returns_left(made: RunRows) -> None:
    worker(made, "tests", "old")
    worker(made, "newer", "new")

    for given in ({"most": 1}, {"most": 0, "waits_s": [60.0], "unknown": True}):
        job = made.job(None, "started")
        assert give_back(made, job, **given), given
        assert made.of("job", job, "given_back") == 1
        again(made, job)
        assert not give_back(made, job, 2, **given), given
        made.empty()
