-- The core: runs, jobs, what they wait for, who works on them.

CREATE TABLE headrace.run (
    id            uuid PRIMARY KEY,
    pipeline      text NOT NULL,
    version       text NOT NULL,
    status        text NOT NULL DEFAULT 'running'
                  CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled', 'skipped')),
    trigger       text NOT NULL
                  CHECK (trigger IN ('schedule', 'manual', 'api', 'backfill', 'pipeline')),
    logical_date  timestamptz NOT NULL,
    params        jsonb NOT NULL DEFAULT '{}',
    plan          jsonb NOT NULL,
    error         text,
    term          bigint,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at    timestamptz,
    finished_at   timestamptz,
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One run per schedule instant, whatever number of daemons believe that it is due.
CREATE UNIQUE INDEX run_instant ON headrace.run (pipeline, logical_date)
 WHERE trigger IN ('schedule', 'backfill');
CREATE INDEX run_open ON headrace.run (pipeline) WHERE status IN ('queued', 'running');
CREATE INDEX run_pipeline ON headrace.run (pipeline, id);

CREATE TABLE headrace.job (
    id               uuid PRIMARY KEY,
    job_class        text NOT NULL,
    payload          jsonb NOT NULL DEFAULT '{}',
    status           text NOT NULL
                     CHECK (status IN ('waiting', 'queued', 'started', 'retrying',
                                       'completed', 'failed', 'cancelled', 'skipped')),
    result           jsonb,
    error            text,
    traceback        text,
    retry_count      integer NOT NULL DEFAULT 0,
    next_retry_time  timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    queue            text NOT NULL,
    run_id           uuid REFERENCES headrace.run ON DELETE CASCADE,
    pipeline         text,
    step             text,
    attempt          integer NOT NULL DEFAULT 0,
    started_at       timestamptz,
    finished_at      timestamptz,
    queued_at        timestamptz,
    crash_count      integer NOT NULL DEFAULT 0,
    timeout_s        double precision NOT NULL,
    retry            jsonb NOT NULL,
    trigger_rule     text NOT NULL DEFAULT 'all_success'
                     CHECK (trigger_rule IN ('all_success', 'all_done', 'one_success',
                                             'one_failed', 'none_failed')),
    deps_left        integer NOT NULL DEFAULT 0 CHECK (deps_left >= 0),
    -- How many jobs wait for this one: a completion that saw fewer recounts them.
    dependents       integer NOT NULL DEFAULT 0,
    late             boolean NOT NULL DEFAULT false,
    -- Of the run, kept here so that a claim is one row: where relative paths are looked up
    -- (below the pipelines folder), and the instant that the run stands for.
    folder           text NOT NULL DEFAULT '',
    logical_date     timestamptz,
    worker           text,
    idempotency_key  text
) WITH (
    -- Every job is written three times: leave room on its page, and vacuum by rows changed,
    -- not by a share of a history that only grows.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0.1
);

-- Partial indexes: as large as the work at hand, however long the history. None of them may
-- mention deps_left: the row of a wide fan-in is lowered once for each job above it, and without
-- an index to change that stays a heap-only update.
CREATE INDEX job_queued ON headrace.job (queued_at) WHERE status = 'queued';
CREATE INDEX job_started ON headrace.job (worker) WHERE status = 'started';
CREATE INDEX job_retrying ON headrace.job (next_retry_time) WHERE status = 'retrying';
CREATE INDEX job_failed ON headrace.job (id) WHERE status = 'failed';
CREATE INDEX job_run ON headrace.job (run_id) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX job_idempotency ON headrace.job (idempotency_key)
 WHERE idempotency_key IS NOT NULL;

-- Who waits for whom.
CREATE TABLE headrace.job_dependency (
    upstream_id  uuid NOT NULL,
    job_id       uuid NOT NULL,
    PRIMARY KEY (upstream_id, job_id)
);
CREATE INDEX job_dependency_job ON headrace.job_dependency (job_id);

-- Attempts that did not complete; the last or current one stands in the job's own row.
CREATE TABLE headrace.job_attempt (
    job_id       uuid NOT NULL REFERENCES headrace.job ON DELETE CASCADE,
    attempt      integer NOT NULL,
    outcome      text NOT NULL
                 CHECK (outcome IN ('failed', 'timed_out', 'crashed', 'released', 'cancelled')),
    worker       text,
    started_at   timestamptz,
    finished_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    error        text,
    traceback    text,
    PRIMARY KEY (job_id, attempt)
);

CREATE TABLE headrace.job_log (
    job_id   uuid NOT NULL,
    attempt  integer NOT NULL,
    line     integer NOT NULL,
    at       timestamptz NOT NULL,
    level    text NOT NULL,
    message  text NOT NULL,
    PRIMARY KEY (job_id, attempt, line)
);

CREATE TABLE headrace.worker (
    name         text PRIMARY KEY,
    hostname     text NOT NULL,
    pid          integer NOT NULL,
    -- Ticks since boot at which the process began: a reused pid is not taken for it.
    birth_ticks  bigint NOT NULL,
    queues       text[] NOT NULL,
    processes    integer NOT NULL,
    status       text NOT NULL DEFAULT 'running'
                 CHECK (status IN ('running', 'draining', 'stopped', 'lost')),
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX worker_live ON headrace.worker (seen_at) WHERE status IN ('running', 'draining');

-- One row a pipeline: how far its schedule has been dealt with, and whether it is paused.
CREATE TABLE headrace.schedule (
    pipeline      text PRIMARY KEY,
    paused        boolean NOT NULL DEFAULT false,
    seen_until    timestamptz NOT NULL,
    next_instant  timestamptz,
    skipped       bigint NOT NULL DEFAULT 0,
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The lease of the leading daemon. `term` grows with every change of hands.
CREATE TABLE headrace.leader (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    holder      text NOT NULL,
    term        bigint NOT NULL,
    expires_at  timestamptz NOT NULL
);
