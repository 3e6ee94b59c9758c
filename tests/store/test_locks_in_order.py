"""Statements that lock several jobs do so in the order of their ids: two never wait for each other.

The rows stand the other way round in their table, and nothing is read by an index, so that only
the statement itself can bring them into that order.
"""

import json
from collections.abc import Callable
from threading import Thread
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.gating.gate import update_dependants
from headrace.model.ids import new_id
from headrace.model.status import JobStatus
from tests.support.rows import Rows
from tests.support.run_rows import RunRows
from tests.support.servers import connect

_NO_INDEX = ("enable_indexscan", "enable_bitmapscan", "enable_indexonlyscan")
# Jobs: one upstream, and those whose rows are locked.
Locking = Callable[[Rows, UUID, list[UUID]], object]


def _named(name: str, **values: Any) -> Locking:
    """The statement of that name; `up` and `jobs` as values stand for the jobs."""

    def run(rows: Rows, up: UUID, jobs: list[UUID]) -> object:
        known = {"up": up, "ups": [up], "jobs": jobs}
        given = {key: known.get(value, value) if isinstance(value, str) else value
                 for key, value in values.items()}  # fmt: skip
        return rows.database.rows(name, **given)

    return run


def _completing(rows: Rows, up: UUID, _jobs: list[UUID]) -> object:
    return rows.store.complete(rows.claimed(up), None)


def _completing_several(rows: Rows, up: UUID, _jobs: list[UUID]) -> object:
    return rows.store.complete_batch([(rows.claimed(up), None)], [], [])


def _failing(rows: Rows, up: UUID, _jobs: list[UUID]) -> object:
    rows.sql("UPDATE headrace.job SET status = 'failed' WHERE id = %(id)s", id=str(up))
    with rows.database.transaction() as tx:
        return update_dependants(tx, [up])


# Statement, and the status of the jobs that it locks.
LOCKING: list[tuple[Locking, str]] = [
    (_named("cancel_jobs", ids="jobs", run_id=None, keep_finally=False), "waiting"),
    (_named("lock_upstream", ids="jobs"), "waiting"),
    (_named("lock_dependants", upstream="up"), "waiting"),
    (_named("hold_dependants", upstream="up"), "waiting"),
    (_named("failed_jobs", runs=[]), "failed"),
    (_named("skipped_below", ids="ups"), "skipped"),
    (_completing, "waiting"),
    (_completing_several, "waiting"),
    (_failing, "waiting"),
]


@pytest.fixture
def made(rows: Rows) -> RunRows:
    """Rows of a database in which no statement reads an index."""
    (name,) = rows.sql("SELECT current_database() AS name")
    for setting in _NO_INDEX:
        rows.sql(f'ALTER DATABASE "{name["name"]}" SET {setting} = off')
    rows.store.raw  # noqa: B018 - the line is opened by the claim elsewhere
    return RunRows(rows)


def _backwards(made: RunRows, status: str, count: int = 2) -> list[UUID]:
    """Insert jobs, the one with the highest id first; return them by their ids."""
    ids = sorted((new_id() for _ in range(count)), reverse=True)
    return [made.job(None, status, id=one, deps_left=1) for one in ids][::-1]


def test_the_first_row_is_waited_for_while_the_next_ones_are_free(made: RunRows) -> None:
    for locking, status in LOCKING:
        up = made.job(None, "started")
        low, high = _backwards(made, status)
        for one in (high, low):
            made.below(one, up)
        holder = connect(made.rows.url)
        with holder.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM headrace.job WHERE id = %s FOR UPDATE", (str(low),))
            thread = Thread(target=locking, args=(made.rows, up, [low, high]))
            thread.start()
            made.rows.wait_for_a_lock()
            free = made.rows.sql(
                "SELECT id FROM headrace.job WHERE id = %(id)s FOR UPDATE SKIP LOCKED",
                id=str(high),
            )
            cursor.execute("COMMIT")
        holder.close()
        thread.join()
        assert free, f"{LOCKING.index((locking, status))}: the second row was locked first"
        made.empty()


def test_the_sweep_passes_over_what_others_hold_and_holds_what_it_has_found(made: RunRows) -> None:
    jobs = _backwards(made, "waiting", 4)
    made.rows.sql("UPDATE headrace.job SET deps_left = 0, updated_at = now() - interval '1 h'")
    for name, values in (("stuck_jobs", {"older_than_s": 60.0}), ("undecided_jobs", {"ids": None})):
        holder = connect(made.rows.url)
        with holder.cursor() as cursor, made.rows.database.transaction() as tx:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM headrace.job WHERE id = %s FOR UPDATE", (str(jobs[0]),))
            found = [row["id"] for row in tx.rows(name, **values)]
            cursor.execute("COMMIT")
            free = made.rows.sql("SELECT id FROM headrace.job FOR UPDATE SKIP LOCKED")
        holder.close()
        assert found == jobs[1:], name
        assert [str(row["id"]) for row in free] == [str(jobs[0])], name


def test_what_a_completion_releases_is_sent_in_the_order_of_its_ids(made: RunRows) -> None:
    up = made.job(None, "started")
    below = _backwards(made, "waiting", 9)
    for one in below:
        made.below(one, up)

    completed = made.rows.store.complete(made.rows.claimed(up), None)

    assert [row[0] for row in completed.released] == [str(one) for one in below]
    assert not completed.recount, "nobody was missed"


def test_due_retries_are_queued_and_others_wait(made: RunRows) -> None:
    def retrying(due: str, **columns: Any) -> UUID:
        job = made.job(None, "retrying", **columns)
        made.rows.sql(
            f"UPDATE headrace.job SET next_retry_time = now() + interval '{due}' WHERE id = %(id)s",
            id=str(job),
        )
        return job

    due, later = retrying("-1 s"), retrying("1 h")
    pooled = retrying("-1 s", pool="p", pool_slots=1)
    held = retrying("-1 s")
    holder = connect(made.rows.url)
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM headrace.job WHERE id = %s FOR UPDATE", (str(held),))
        found = made.rows.database.rows("due_retries")
        cursor.execute("COMMIT")
    holder.close()

    assert [row["id"] for row in found] == [due]
    assert made.of("job", due, "status", "next_retry_time") == ("queued", None)
    assert made.of("job", due, "queued_at") is not None
    assert [made.of("job", one, "status") for one in (later, pooled, held)] == ["retrying"] * 3
    made.rows.database.rows("end_waits")
    assert [row["id"] for row in made.rows.database.rows("due_retries")] == [held, later]


def test_a_message_is_overdue_that_has_long_been_queued_and_only_while_it_is(
    made: RunRows,
) -> None:
    jobs = [made.job(None, "queued") for _ in range(4)]
    for job, since in zip(jobs, ("10 s", "20 s", "1 s", "30 s"), strict=True):
        made.rows.sql(
            f"UPDATE headrace.job SET queued_at = now() - interval '{since}' WHERE id = %(id)s",
            id=str(job),
        )
    made.rows.sql("UPDATE headrace.job SET status = 'started' WHERE id = %(id)s", id=str(jobs[3]))

    overdue = made.rows.database.rows("overdue_messages", older_than_s=5.0)
    asked = [(jobs[0], 0), (jobs[1], 1), (jobs[2], 0), (jobs[3], 0)]
    attempts = json.dumps([{"id": str(job), "attempt": attempt} for job, attempt in asked])
    queued = made.rows.database.rows("still_queued", attempts=attempts)

    assert [row["id"] for row in overdue] == [jobs[1], jobs[0]], "the oldest first"
    assert {row["id"] for row in queued} == {jobs[0], jobs[2]}


def test_locks_by_name_are_taken_in_their_order(made: RunRows) -> None:
    taking = "SELECT pg_try_advisory_xact_lock(hashtextextended('headrace b', 0)) AS free"
    holder = connect(made.rows.url)
    thread = Thread(
        target=made.rows.database.rows, args=("lock_groups",), kwargs={"groups": ["b", "a"]}
    )
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('headrace a', 0))")
        thread.start()
        made.rows.wait_for_a_lock()
        assert made.rows.sql(taking) == [{"free": True}]
        cursor.execute("COMMIT")
    holder.close()
    thread.join()


def test_a_run_is_held_while_its_handlers_are_opened_and_only_while_it_runs(made: RunRows) -> None:
    running, other = made.run(), made.run()
    with made.rows.database.transaction() as tx:
        for status in ("queued", "completed", "failed", "cancelled", "skipped"):
            assert tx.rows("lock_run", id=made.run(status=status)) == []
        assert tx.rows("lock_run", id=running) == [{"id": running}]
        held = "SELECT id FROM headrace.run WHERE status = 'running' FOR UPDATE SKIP LOCKED"
        assert [str(row["id"]) for row in made.rows.sql(held)] == [str(other)]


def test_an_attempt_is_held_against_its_end_and_only_while_it_is_under_way(made: RunRows) -> None:
    jobs = {one: made.job(None, one, attempt=2) for one in JobStatus}
    with made.rows.database.transaction() as tx:
        found = {one: tx.rows("hold_attempt", id=job, attempt=2) for one, job in jobs.items()}
        assert tx.rows("hold_attempt", id=made.job(None, "started", attempt=2), attempt=1) == []
        assert {one for one, rows in found.items() if rows} == {"started"}
        assert found[JobStatus.STARTED] == [{"id": jobs[JobStatus.STARTED]}]
        of_mine = f"SELECT id FROM headrace.job WHERE id = '{jobs[JobStatus.STARTED]}'"
        assert made.rows.sql(f"{of_mine} FOR UPDATE SKIP LOCKED") == []
        # Another one may hold it as well.
        assert len(made.rows.sql(f"{of_mine} FOR SHARE SKIP LOCKED")) == 1
