"""The rows that travel between rooms, with the columns that their statements return.

What a statement returns is said in `queries.py`; tests/store/test_row_types.py compares both
with PostgreSQL.
"""

from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID


class IdRow(TypedDict):
    """A row of which only the id is wanted."""

    id: UUID


class AttemptRow(IdRow):
    """One attempt of a job: both together are the fence."""

    attempt: int


class QueuedJob(AttemptRow):
    """Columns of which a message is made."""

    queue: str
    timeout_s: float


class DecidedJob(QueuedJob):
    """A job that the gate has decided, or has left waiting for its condition."""

    status: str


class UpdatedDependant(DecidedJob):
    """A job of which something above has ended."""

    run_id: UUID | None
    dependents: int
    deps_left: int


class EndedJob(TypedDict):
    """A job that has ended, and how much waits for it."""

    id: UUID
    run_id: UUID | None
    dependents: int


class CancelledJob(EndedJob):
    """A job that was cancelled, and the run that it has started."""

    child_run: UUID | None


class FailedJob(EndedJob):
    """A job whose attempt has ended without success: failed, or to be tried again."""

    status: str
    allow_failure: bool


class LostJob(FailedJob):
    """A job whose attempt was lost with its worker."""

    attempt: int
    queue: str
    timeout_s: float


class JobOfRun(IdRow):
    """A job and the run that it belongs to, if it does."""

    run_id: UUID | None


class JobRow(TypedDict):
    """All of a job's columns."""

    id: UUID
    job_class: str
    payload: dict[str, Any]
    status: str
    result: Any
    error: str | None
    traceback: str | None
    retry_count: int
    next_retry_time: datetime | None
    created_at: datetime
    updated_at: datetime
    queue: str
    run_id: UUID | None
    pipeline: str | None
    step: str | None
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None
    queued_at: datetime | None
    crash_count: int
    timeout_s: float
    retry: dict[str, Any]
    trigger_rule: str
    deps_left: int
    dependents: int
    late: bool
    folder: str
    logical_date: datetime | None
    worker: str | None
    idempotency_key: str | None
    when_expr: str | None
    allow_failure: bool
    handler: str | None
    pool: str | None
    pool_slots: int | None
    slot_wanted: bool
    env: dict[str, str] | None
    child_state: str | None
    child_run: UUID | None
    timezone: str | None
    skip_reason: str | None
    upstream_skipped: bool
    needs: int | None
    given_back: int | None


class EndedRun(TypedDict):
    """A run of which no job is left, or one that goes on with its handlers: `running`."""

    id: UUID
    pipeline: str
    status: str
    concurrency_group: str | None
    parent_job: UUID | None


class NewRun(EndedRun):
    """A run as it was inserted, without its plan, which the caller has."""

    version: str
    trigger: str
    logical_date: datetime
    params: dict[str, Any]
    error: str | None
    term: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    concurrency_limit: int | None
    has_handlers: bool


class KeyedRun(NewRun):
    """A new run with the idempotency key that it was started under."""

    idempotency_key: str | None


class RunRow(KeyedRun):
    """All of a run's columns."""

    plan: dict[str, Any]
    plan_id: UUID | None
    cancelled_at: datetime | None
    notify: dict[str, Any] | None
    expected: dict[str, Any] | None
    late: dict[str, Any] | None


class OpenRun(IdRow):
    """A run that takes a place in its group. `ending`: cancelled, with handlers to run."""

    concurrency_group: str
    status: str
    ending: bool


class GroupRow(TypedDict):
    """A concurrency group by its name."""

    name: str


class WantedPool(TypedDict):
    """A pool of which jobs want slots, and how many it has."""

    pool: str
    slots: int


class WantedChild(TypedDict):
    """A job that waits for a run of its own. `above`: the pipelines above it, outermost first."""

    id: UUID
    run_id: UUID
    job_class: str
    payload: dict[str, Any]
    late: bool
    step: str
    pipeline: str
    logical_date: datetime
    timezone: str | None
    paused: bool
    above: list[str]


class EarlierChild(IdRow):
    """The run of an earlier start of a step that runs a pipeline."""

    status: str
    params: dict[str, Any]


class StartedChild(IdRow):
    """The run that a job has waited for, as it has ended."""

    pipeline: str
    status: str
    error: str | None


class UpstreamRun(IdRow):
    """A run that has ended and may start one of the pipeline `waiting`."""

    waiting: str
    pipeline: str
    status: str
    trigger: str
    finished_at: datetime
    logical_date: datetime
    params: dict[str, Any]
    param_types: dict[str, str] | None
    timezone: str | None


class LockedSchedule(TypedDict):
    """A pipeline's schedule, held to the transaction's end."""

    pipeline: str
    paused: bool
    seen_until: datetime


class ScheduleRow(LockedSchedule):
    """Progress of a pipeline's schedule."""

    next_instant: datetime | None
    skipped: int
    updated_at: datetime
    declared: str


class StaleWorker(TypedDict):
    """A worker that may be dead."""

    name: str
    hostname: str
    pid: int
    birth_ticks: int
    expired: bool


class WorkerRow(TypedDict):
    """A worker as people see it. `running`: how many attempts it has at hand."""

    name: str
    hostname: str
    pid: int
    queues: list[str]
    processes: int
    status: str
    started_at: datetime
    seen_at: datetime
    job_files: str | None
    running: int


class LeaderRow(TypedDict):
    """The lease of the leading daemon. `late`: it is over and was not given up."""

    holder: str
    term: int
    expires_at: datetime
    live: bool
    late: bool


class ReleasedByBatch(TypedDict):
    """What the completions of a batch have released; ids and runs are texts, from JSON."""

    ids: list[str] | None
    recount: bool | None
    released: list[tuple[str, int, str, float]] | None
    undecided: list[str] | None
    runs: list[str] | None
