"""The statuses of jobs and runs, with their legal transitions."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Status of a job. `TRANSITIONS` has the legal changes."""

    WAITING = "waiting"
    QUEUED = "queued"
    STARTED = "started"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class RunStatus(StrEnum):
    """Status of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    # To `failed` without an attempt: its condition could not be evaluated, its run not started.
    JobStatus.WAITING: frozenset(
        {JobStatus.QUEUED, JobStatus.SKIPPED, JobStatus.CANCELLED, JobStatus.FAILED}
    ),
    JobStatus.QUEUED: frozenset({JobStatus.STARTED, JobStatus.CANCELLED}),
    # Back to `queued`: the attempt ended without the job's fault (crash, drain, outage).
    JobStatus.STARTED: frozenset(
        {
            JobStatus.COMPLETED,
            JobStatus.FAILED,
            JobStatus.RETRYING,
            JobStatus.CANCELLED,
            JobStatus.QUEUED,
        }
    ),
    JobStatus.RETRYING: frozenset({JobStatus.QUEUED, JobStatus.CANCELLED}),
}

FINAL: frozenset[JobStatus] = frozenset(JobStatus) - TRANSITIONS.keys()

RUN_FINAL: frozenset[RunStatus] = frozenset(
    {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.SKIPPED}
)


class Trigger(StrEnum):
    """Reason why a run exists."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    API = "api"
    BACKFILL = "backfill"
    PIPELINE = "pipeline"
