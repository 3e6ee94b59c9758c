-- Rows first, messages after the commit.

-- name: insert_job
-- One job without dependencies. A second dispatch with the same idempotency key changes nothing
-- and gets the first one's id from `job_by_key`.
INSERT INTO headrace.job
       (id, job_class, payload, status, queue, timeout_s, retry, idempotency_key, queued_at)
VALUES (:id::uuid, :job_class::text, :payload::jsonb, 'queued', :queue::text,
        :timeout_s::float8, :retry::jsonb, :idempotency_key::text, clock_timestamp())
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING *

-- name: insert_job_id
-- The same, returning only the id; no row if the key exists already.
INSERT INTO headrace.job
       (id, job_class, payload, status, queue, timeout_s, retry, idempotency_key, queued_at)
VALUES (:id::uuid, :job_class::text, :payload::jsonb, 'queued', :queue::text,
        :timeout_s::float8, :retry::jsonb, :idempotency_key::text, clock_timestamp())
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id

-- name: job_by_key
SELECT * FROM headrace.job WHERE idempotency_key = :idempotency_key::text

-- name: lock_upstream
-- Locks the jobs that a new job depends on, so that none of them ends unnoticed in the meantime.
SELECT id, status
  FROM headrace.job
 WHERE id = ANY (:ids::uuid[])
 ORDER BY id
   FOR UPDATE

-- name: note_dependant
UPDATE headrace.job SET dependents = dependents + 1 WHERE id = ANY (:ids::uuid[])

-- name: insert_dependencies
INSERT INTO headrace.job_dependency (upstream_id, job_id)
SELECT upstream, :id::uuid FROM unnest(:upstream::uuid[]) AS upstream

-- name: insert_dependent_job
INSERT INTO headrace.job
       (id, job_class, payload, status, queue, timeout_s, retry, idempotency_key, deps_left)
VALUES (:id::uuid, :job_class::text, :payload::jsonb, 'waiting', :queue::text,
        :timeout_s::float8, :retry::jsonb, :idempotency_key::text, :deps_left::integer)
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING *

-- name: insert_jobs
-- All jobs of a run in one statement. `payload` and `retry` may be
-- JSON values or JSON text: read as text, both are the same.
INSERT INTO headrace.job
       (id, job_class, payload, status, queue, timeout_s, retry, run_id, pipeline, step,
        deps_left, dependents, late, trigger_rule, when_expr, allow_failure, folder, logical_date,
        handler, pool, pool_slots, env, needs, timezone, queued_at)
SELECT id, job_class, payload::jsonb,
       CASE WHEN deps_left = 0 AND not held THEN 'queued' ELSE 'waiting' END,
       queue, timeout_s, retry::jsonb, run_id, pipeline, step, deps_left, dependents, late,
       trigger_rule, when_expr, allow_failure, folder, logical_date, handler,
       pool, pool_slots, env, needs, timezone,
       CASE WHEN deps_left = 0 AND not held THEN clock_timestamp() END
  FROM json_to_recordset(:jobs::json) AS planned
       (id uuid, job_class text, payload text, queue text, timeout_s float8, retry text,
        run_id uuid, pipeline text, step text, deps_left integer, dependents integer,
        late boolean, trigger_rule text, when_expr text, allow_failure boolean, folder text,
        logical_date timestamptz, held boolean, handler text, pool text,
        pool_slots integer, env jsonb, needs integer, timezone text)

-- name: insert_many_jobs
-- A bulk dispatch: jobs that wait for nothing and differ only in their payloads.
INSERT INTO headrace.job
       (id, job_class, payload, status, queue, timeout_s, retry, queued_at)
SELECT job.id, :job_class::text, job.payload::jsonb, 'queued', :queue::text, :timeout_s::float8,
       :retry::jsonb, clock_timestamp()
  FROM ROWS FROM (unnest(:ids::uuid[]), json_array_elements(:payloads::json))
       AS job (id, payload)

-- name: insert_edges
INSERT INTO headrace.job_dependency (upstream_id, job_id)
SELECT upstream_id, job_id
  FROM json_to_recordset(:edges::json) AS edge (upstream_id uuid, job_id uuid)

-- name: hold_plans
-- Those of the plans that are there, held to the end of the transaction: `prune` passes over them.
SELECT id FROM headrace.plan WHERE id = ANY (:ids::uuid[]) FOR KEY SHARE

-- name: add_plans
INSERT INTO headrace.plan (id, steps)
SELECT id, steps::jsonb
  FROM json_to_recordset(:plans::json) AS planned (id uuid, steps text)
 ORDER BY id
    ON CONFLICT (id) DO NOTHING

-- name: insert_runs
-- Returns only the inserted rows: another daemon may have created an instant's run before, or the
-- caller's term may be over.
INSERT INTO headrace.run
       (id, pipeline, version, trigger, logical_date, params, plan, plan_id, term, status,
        started_at, concurrency_group, concurrency_limit, has_handlers, parent_job, notify,
        expected)
SELECT id, pipeline, version, trigger, logical_date, params, plan, plan_id, :term::bigint,
       CASE WHEN concurrency_group IS NULL THEN 'running' ELSE 'queued' END,
       CASE WHEN concurrency_group IS NULL THEN clock_timestamp() END,
       concurrency_group, concurrency_limit, has_handlers, parent_job, notify, expected
  FROM json_to_recordset(:runs::json) AS due
       (id uuid, pipeline text, version text, trigger text, logical_date timestamptz,
        params jsonb, plan jsonb, plan_id uuid, concurrency_group text, concurrency_limit integer,
        has_handlers boolean, parent_job uuid, notify jsonb, expected jsonb)
 WHERE :term::bigint IS NULL
    OR EXISTS (SELECT FROM headrace.leader
                WHERE term = :term::bigint AND expires_at > clock_timestamp())
    ON CONFLICT (pipeline, logical_date) WHERE trigger IN ('schedule', 'backfill') DO NOTHING
RETURNING id, pipeline, version, status, trigger, logical_date, params, error, term, created_at,
          started_at, finished_at, updated_at, concurrency_group, concurrency_limit,
          has_handlers, parent_job

-- name: lock_run_key
-- Serializes requests with the same key: the second one finds the run of the first.
SELECT pg_advisory_xact_lock(hashtextextended(:pipeline::text || ' ' || :idempotency_key::text, 0))

-- name: run_by_key
SELECT * FROM headrace.run
 WHERE pipeline = :pipeline::text
   AND idempotency_key = :idempotency_key::text

-- name: keep_run_key
UPDATE headrace.run SET idempotency_key = :idempotency_key::text WHERE id = :id::uuid
