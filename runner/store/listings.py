"""Listings of jobs and runs: which statement serves a filter."""

from uuid import UUID

from headrace.model.status import RUN_FINAL
from headrace.store.database import Row, Transaction


def list_jobs(
    database: Transaction,
    *,
    before: UUID | None = None,
    limit: int,
    status: str | None = None,
    queue: str | None = None,
    pipeline: str | None = None,
    job_class: str | None = None,
) -> list[Row]:
    """Return up to `limit` jobs that match, newest first; `before` is an id of an earlier page."""
    wanted = {"status": status, "queue": queue, "job_class": job_class}
    if pipeline is not None:
        return database.rows(
            "jobs_of_pipeline", before=before, limit=limit, pipeline=pipeline, **wanted
        )
    if any(value is not None for value in wanted.values()):
        return database.rows("jobs_of_kind", before=before, limit=limit, pipeline=None, **wanted)
    return database.rows("jobs", before=before, limit=limit)


def list_runs(
    database: Transaction,
    *,
    before: UUID | None = None,
    limit: int,
    status: str | None = None,
    pipeline: str | None = None,
) -> list[Row]:
    """Return up to `limit` runs that match, newest first; `before` is an id of an earlier page."""
    if status is None:
        return database.rows("runs", before=before, limit=limit, pipeline=pipeline)
    if status in RUN_FINAL:
        return database.rows(
            "ended_runs", before=before, limit=limit, pipeline=pipeline, status=status
        )
    return database.rows("open_runs", before=before, limit=limit, pipeline=pipeline, status=status)
