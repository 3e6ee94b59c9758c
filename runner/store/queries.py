"""Named statements whose rows have a type: `tx.rows(queries.LEADER)` returns `LeaderRow`s."""

from headrace.store.row_types import (
    AttemptRow,
    CancelledJob,
    DecidedJob,
    EarlierChild,
    EndedJob,
    EndedRun,
    FailedJob,
    GroupRow,
    IdRow,
    JobOfRun,
    JobRow,
    LeaderRow,
    LockedSchedule,
    LostJob,
    NewRun,
    OpenRun,
    QueuedJob,
    ReleasedByBatch,
    RunRow,
    ScheduleRow,
    StaleWorker,
    StartedChild,
    UpdatedDependant,
    UpstreamRun,
    WantedChild,
    WantedPool,
    WorkerRow,
)
from headrace.store.statements import Query

JOB = Query("job", JobRow)
COMPLETE_ENDED = Query("complete_ended", ReleasedByBatch)
JOB_BY_KEY = Query("job_by_key", JobRow)
INSERT_JOB = Query("insert_job", JobRow)
INSERT_DEPENDENT_JOB = Query("insert_dependent_job", JobRow)

RUN = Query("run", RunRow)
RUN_BY_KEY = Query("run_by_key", RunRow)
INSERT_RUNS = Query("insert_runs", NewRun)
ADMIT_RUNS = Query("admit_runs", RunRow)
CANCEL_RUN = Query("cancel_run", RunRow)
FINISH_RUN = Query("finish_run", EndedRun)
OPEN_RUNS_OF_GROUPS = Query("open_runs_of_groups", OpenRun)
GROUPS_WITH_QUEUED_RUNS = Query("groups_with_queued_runs", GroupRow)
RELEASE_RUNS = Query("release_runs", IdRow)
FORGOTTEN_RUNS = Query("forgotten_runs", IdRow)

DUE_RETRIES = Query("due_retries", QueuedJob)
OVERDUE_MESSAGES = Query("overdue_messages", QueuedJob)
STILL_QUEUED = Query("still_queued", QueuedJob)
WAKE_PARENTS = Query("wake_parents", QueuedJob)
WAKE_FORGOTTEN_PARENTS = Query("wake_forgotten_parents", QueuedJob)
ASSIGN_SLOTS = Query("assign_slots", QueuedJob)
RELEASE_ROOTS = Query("release_roots", DecidedJob)
RELEASE_JOBS = Query("release_jobs", DecidedJob)
OPEN_HANDLERS = Query("open_handlers", DecidedJob)
UPDATE_DEPENDANTS = Query("update_dependants", UpdatedDependant)
RECOUNT_WAITING = Query("recount_waiting", UpdatedDependant)
LOCK_DEPENDANTS = Query("lock_dependants", IdRow)
STUCK_JOBS = Query("stuck_jobs", IdRow)
UNDECIDED_JOBS = Query("undecided_jobs", IdRow)
SKIP_JOBS = Query("skip_jobs", EndedJob)
CANCEL_JOBS = Query("cancel_jobs", CancelledJob)
FAIL_ATTEMPT = Query("fail_attempt", FailedJob)
FAIL_UNDECIDED = Query("fail_undecided", FailedJob)
LOSE_ATTEMPTS = Query("lose_attempts", LostJob)
REOPEN_JOBS = Query("reopen_jobs", JobOfRun)
WANTED_POOLS = Query("wanted_pools", WantedPool)

WANTED_CHILDREN = Query("wanted_children", WantedChild)
EARLIER_CHILD = Query("earlier_child", EarlierChild)
CHILD_OF_JOB = Query("child_of_job", StartedChild)
UNUSED_UPSTREAM_RUNS = Query("unused_upstream_runs", UpstreamRun)
SCHEDULES = Query("schedules", ScheduleRow)
LOCK_SCHEDULES = Query("lock_schedules", LockedSchedule)

WORKERS = Query("workers", WorkerRow)
LEADER = Query("leader", LeaderRow)
STALE_WORKERS = Query("stale_workers", StaleWorker)
ATTEMPTS_OF_WORKER = Query("attempts_of_worker", AttemptRow)
ATTEMPTS_OF_WORKERS = Query("attempts_of_workers", AttemptRow)
