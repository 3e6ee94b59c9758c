"""Deleting what ended long ago."""

from dataclasses import dataclass

from headrace.store.database import Database

# Short transactions: no lock is held for long, and an interrupted pruning has done its part.
_RUNS_A_BATCH = 200
_JOBS_A_BATCH = 2000


@dataclass
class Pruned:
    """Counts of deleted rows."""

    runs: int = 0
    jobs: int = 0


def prune(database: Database, older_than_s: float) -> Pruned:
    """Delete runs and jobs that ended more than `older_than_s` seconds ago, by PostgreSQL's clock.

    Their attempts, dependencies and logs go with them. What has not ended stays, and so does
    what something unfinished still waits for.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; whole batches were deleted.
    """
    pruned = Pruned()
    while _runs(database, older_than_s, pruned):
        pass
    while _jobs(database, older_than_s, pruned):
        pass
    return pruned


def _runs(database: Database, older_than_s: float, pruned: Pruned) -> bool:
    """Delete a batch of runs; True where there may be more."""
    with database.transaction() as tx:
        found = tx.rows("prune_runs", older_than_s=older_than_s, limit=_RUNS_A_BATCH)
        runs = [row["id"] for row in found]
        if not runs:
            return False
        jobs = [row["id"] for row in tx.rows("prunable_jobs_of_runs", runs=runs)]
        for start in range(0, len(jobs), _JOBS_A_BATCH):
            tx.rows("delete_jobs", ids=jobs[start : start + _JOBS_A_BATCH])
        tx.rows("delete_runs", ids=runs)
    pruned.runs += len(runs)
    pruned.jobs += len(jobs)
    return True


def _jobs(database: Database, older_than_s: float, pruned: Pruned) -> bool:
    """Delete a batch of jobs that belong to no run; True where there may be more."""
    with database.transaction() as tx:
        found = tx.rows("prunable_jobs", older_than_s=older_than_s, limit=_JOBS_A_BATCH)
        jobs = [row["id"] for row in found]
        if jobs:
            tx.rows("delete_jobs", ids=jobs)
    pruned.jobs += len(jobs)
    return bool(jobs)
