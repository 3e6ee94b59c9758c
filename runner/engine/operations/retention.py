"""Deleting what ended long ago."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from headrace.engine.access.audit import delete_expired
from headrace.engine.operations.totals import count_all
from headrace.model.ids import first_id_of
from headrace.store.database import Database, Row

# Short transactions: no lock is held for long, and an interrupted pruning has done its part.
_RUNS_A_BATCH = 500
_JOBS_A_BATCH = 2500
# Of the time, what deleting takes where nothing else is at work, and beside jobs.
_SHARE_ALONE = 0.8
_SHARE_BESIDE = 0.1
_LONGEST_PAUSE_S = 1.0
_ROUNDED_S = 0.001
_LAST_ID = UUID(int=(1 << 128) - 1)


@dataclass
class Pruned:
    """Counts of deleted rows; `logs` are those of jobs that are kept."""

    runs: int = 0
    jobs: int = 0
    logs: int = 0


def keep_retention(
    database: Database, retention_s: float | None, log_retention_s: float | None = None
) -> Pruned:
    """Delete what is older than the retention, of the audit trail, too; None keeps all.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; whole batches were deleted.
    """
    delete_expired(database, retention_s)
    pruned = Pruned() if retention_s is None else prune(database, retention_s)
    if log_retention_s is not None:
        pruned.logs = prune_logs(database, log_retention_s)
    return pruned


def prune_logs(database: Database, older_than_s: float) -> int:
    """Delete the logs of jobs that ended more than `older_than_s` seconds ago; returns how many.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; whole batches were deleted.
    """
    deleted = 0
    (clock,) = database.rows("clock")

    def logs(after: UUID, until: UUID) -> Row:
        nonlocal deleted
        (done,) = database.rows(
            "prune_logs", after=after, until=until, older_than_s=older_than_s, limit=_JOBS_A_BATCH
        )
        deleted += done["jobs"]
        return done

    for after, until in _ranges(clock["now"].timestamp(), older_than_s):
        _in_batches(logs, _JOBS_A_BATCH, after, until)
    return deleted


def prune(database: Database, older_than_s: float) -> Pruned:
    """Delete runs and jobs that ended more than `older_than_s` seconds ago, by PostgreSQL's clock.

    Their attempts, dependencies and logs go with them, plans that no run is of any more, and
    notifications. What has not ended stays, and so does what something unfinished still waits for,
    or what the totals of /metrics do not contain yet.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; whole batches were deleted.
    """
    pruned = Pruned()
    count_all(database)
    (clock,) = database.rows("clock")

    def runs(after: UUID, until: UUID) -> Row:
        (done,) = database.rows(
            "prune_runs", after=after, until=until, older_than_s=older_than_s, limit=_RUNS_A_BATCH
        )
        pruned.runs += done["runs"]
        pruned.jobs += done["jobs"]
        return done

    def jobs(after: UUID, until: UUID) -> Row:
        (done,) = database.rows(
            "prune_jobs", after=after, until=until, older_than_s=older_than_s, limit=_JOBS_A_BATCH
        )
        pruned.jobs += done["jobs"]
        return done

    for after, until in _ranges(clock["now"].timestamp(), older_than_s):
        _in_batches(runs, _RUNS_A_BATCH, after, until)
        _in_batches(jobs, _JOBS_A_BATCH, after, until)
        database.rows("prune_attempts", after=after, until=until, older_than_s=older_than_s)
        database.rows("prune_triggered", after=after, until=until, older_than_s=older_than_s)
    database.rows("prune_plans", older_than_s=older_than_s)
    database.rows("prune_notifications", older_than_s=older_than_s)
    return pruned


def _ranges(now_s: float, older_than_s: float) -> Iterator[tuple[UUID, UUID]]:
    """Yield the ids among which old rows can be: those made long ago, and of a wrong clock."""
    yield UUID(int=0), first_id_of(max(0.0, now_s - older_than_s) + _ROUNDED_S)
    # Made by a program whose clock is ahead: their ids say nothing about their age.
    yield first_id_of(now_s + _ROUNDED_S), _LAST_ID


def _in_batches(
    prune_between: Callable[[UUID, UUID], Row], batch: int, after: UUID, until: UUID
) -> None:
    """Delete batch after batch, in the order of the ids."""
    while True:
        began = time.monotonic()
        done = prune_between(after, until)
        if done["found"] < batch:
            return
        after = done["last"]
        time.sleep(pause_s(time.monotonic() - began, busy=done["busy"]))


def pause_s(took_s: float, *, busy: bool) -> float:
    """Return how long to leave the server to others after a batch that took so long."""
    share = _SHARE_BESIDE if busy else _SHARE_ALONE
    return min(took_s * (1 / share - 1), _LONGEST_PAUSE_S)
