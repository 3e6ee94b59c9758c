-- What a person does to a job or run. Each is safe against a worker at that very moment: the
-- status it needs is part of the statement.

-- name: cancel_jobs
-- Rows are locked in the order of their ids, upstream before downstream, as a completion does.
WITH ended AS (
    UPDATE headrace.job
       SET status = 'cancelled',
           next_retry_time = NULL,
           finished_at = clock_timestamp(),
           updated_at = clock_timestamp()
     WHERE id IN (SELECT id
                    FROM headrace.job
                   WHERE (id = ANY (:ids::uuid[]) OR run_id = :run_id::uuid)
                     AND status IN ('waiting', 'queued', 'started', 'retrying')
                   ORDER BY id
                     FOR UPDATE)
       AND status IN ('waiting', 'queued', 'started', 'retrying')
    RETURNING id, attempt, worker, started_at, run_id, dependents, child_run
), noted AS (
    INSERT INTO headrace.job_attempt (job_id, attempt, outcome, worker, started_at)
    SELECT id, attempt, 'cancelled', worker, started_at
      FROM ended
     WHERE attempt > 0
        ON CONFLICT DO NOTHING
)
SELECT id, run_id, dependents, child_run FROM ended

-- name: cancel_run
UPDATE headrace.run
   SET status = 'cancelled',
       error = :error::text,
       finished_at = clock_timestamp(),
       updated_at = clock_timestamp()
 WHERE id = :id::uuid
   AND status IN ('queued', 'running')
RETURNING *

-- name: failed_jobs
SELECT id FROM headrace.job WHERE status = 'failed' ORDER BY id FOR UPDATE

-- name: skipped_below
-- What was skipped because of these jobs, to wait again.
WITH RECURSIVE below AS (
    SELECT d.job_id
      FROM headrace.job_dependency d
     WHERE d.upstream_id = ANY (:ids::uuid[])
     UNION
    SELECT d.job_id
      FROM below
      JOIN headrace.job_dependency d ON d.upstream_id = below.job_id
)
SELECT j.id
  FROM below
  JOIN headrace.job j ON j.id = below.job_id
 WHERE j.status IN ('skipped', 'cancelled')
 ORDER BY j.id
   FOR UPDATE OF j

-- name: reopen_jobs
-- All of them wait first, so that the count that follows sees each as unfinished. `attempt`
-- goes on growing; the budgets start again.
UPDATE headrace.job
   SET status = 'waiting',
       retry_count = 0,
       crash_count = 0,
       given_back = NULL,
       next_retry_time = NULL,
       finished_at = NULL,
       queued_at = NULL,
       slot_wanted = false,
       child_state = NULL,
       updated_at = clock_timestamp()
 WHERE id = ANY (:ids::uuid[])
   AND status IN ('failed', 'cancelled', 'skipped')
RETURNING id, run_id

-- name: reopen_runs
UPDATE headrace.run
   SET status = 'running', finished_at = NULL, updated_at = clock_timestamp()
 WHERE id = ANY (:ids::uuid[])
   AND status IN ('failed', 'cancelled', 'completed')

-- name: failed_jobs_of_run
SELECT id FROM headrace.job WHERE run_id = :run_id::uuid AND status IN ('failed', 'cancelled')
