-- Manual interventions in jobs and runs. Each is safe while a worker acts on the same job: the
-- required status is part of the statement.

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
                     AND NOT (:keep_finally::boolean AND handler IS NOT DISTINCT FROM 'finally')
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
-- A run that has started continues with its `finally` handlers, and is cancelled when these have
-- ended; a second cancellation ends it at once.
UPDATE headrace.run r
   SET status = CASE WHEN ending.with_finally THEN r.status ELSE 'cancelled' END,
       cancelled_at = coalesce(r.cancelled_at, clock_timestamp()),
       error = coalesce(:error::text, r.error),
       finished_at = CASE WHEN NOT ending.with_finally THEN clock_timestamp() END,
       updated_at = clock_timestamp()
  FROM (SELECT id,
               status = 'running' AND cancelled_at IS NULL
               AND EXISTS (SELECT FROM headrace.job
                            WHERE run_id = :id::uuid
                              AND handler = 'finally'
                              AND status IN ('waiting', 'queued', 'started', 'retrying'))
                   AS with_finally
          FROM headrace.run
         WHERE id = :id::uuid
           FOR UPDATE) ending
 WHERE r.id = ending.id
   AND r.status IN ('queued', 'running')
RETURNING r.*

-- name: runs_of_failed_jobs
SELECT DISTINCT run_id FROM headrace.job WHERE status = 'failed' AND run_id IS NOT NULL

-- name: lock_runs
-- Until the end of the transaction their handlers are not opened, nor are they retried twice.
SELECT id FROM headrace.run WHERE id = ANY (:runs::uuid[]) ORDER BY id FOR NO KEY UPDATE

-- name: handlers_at_work
-- Those of these runs that have begun to act on how the steps have ended, and have not ended.
SELECT id, run_id, step
  FROM headrace.job
 WHERE run_id = ANY (:runs::uuid[])
   AND handler IS NOT NULL
   AND (status IN ('queued', 'started', 'retrying')
        OR (status = 'waiting' AND (slot_wanted OR child_state IS NOT NULL)))
 ORDER BY id

-- name: failed_jobs
-- Of no run, or of one of these.
SELECT id, run_id
  FROM headrace.job
 WHERE status = 'failed'
   AND (run_id IS NULL OR run_id = ANY (:runs::uuid[]))
 ORDER BY id
   FOR UPDATE

-- name: skipped_below
-- Jobs that were skipped because of these jobs, and will wait again.
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
-- All of them are set to waiting first, so that the following count sees each as unfinished.
-- `attempt` continues to grow; the budgets start again.
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
       skip_reason = NULL,
       upstream_skipped = false,
       updated_at = clock_timestamp()
 WHERE id = ANY (:ids::uuid[])
   AND status IN ('failed', 'cancelled', 'skipped')
RETURNING id, run_id

-- name: reopen_runs
UPDATE headrace.run
   SET status = 'running', cancelled_at = NULL, finished_at = NULL, updated_at = clock_timestamp()
 WHERE id = ANY (:ids::uuid[])
   AND status IN ('failed', 'cancelled', 'completed')

-- name: failed_jobs_of_run
SELECT id FROM headrace.job WHERE run_id = :run_id::uuid AND status IN ('failed', 'cancelled')
