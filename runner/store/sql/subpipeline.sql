-- Steps that run a pipeline. The job of such a step is sent to a worker only when its run has
-- ended: after the gate it continues to wait, as `wanted`, then as `begun`.

-- name: wanted_children
-- Jobs whose run is still to be started, oldest first, as many per step as it allows at a time:
-- those that have begun keep their places.
WITH placed AS (
    SELECT id,
           row_number() OVER (PARTITION BY run_id, split_part(step, '[', 1)
                              ORDER BY child_state = 'wanted', id) AS place
      FROM headrace.job
     WHERE status = 'waiting'
       AND child_state IS NOT NULL
)
SELECT j.id, j.run_id, j.job_class, j.payload, j.late, j.step, r.pipeline, r.logical_date,
       r.plan ->> 'timezone' AS timezone,
       EXISTS (SELECT FROM headrace.schedule s
                WHERE s.pipeline = substr(j.job_class, length('pipeline ') + 1)
                  AND s.paused) AS paused,
       -- The pipelines of the parent runs, outermost first.
       ARRAY(WITH RECURSIVE up AS (
                 SELECT r.pipeline, r.parent_job, 1 AS height
                  UNION ALL
                 SELECT a.pipeline, a.parent_job, up.height + 1
                   FROM up
                   JOIN headrace.job p ON p.id = up.parent_job
                   JOIN headrace.run a ON a.id = p.run_id)
             SELECT up.pipeline FROM up ORDER BY up.height DESC) AS above
  FROM placed
  JOIN headrace.job j ON j.id = placed.id
  JOIN headrace.run r ON r.id = j.run_id
 WHERE j.child_state = 'wanted'
   AND (j.pool_slots IS NULL OR placed.place <= j.pool_slots)
 ORDER BY j.id
 LIMIT :limit::integer

-- name: lock_wanted_children
-- Those of the given jobs that still need a run: another daemon may have started it in the
-- meantime, or the job was cancelled.
SELECT id, child_run
  FROM headrace.job
 WHERE id = ANY (:ids::uuid[])
   AND status = 'waiting'
   AND child_state = 'wanted'
 ORDER BY id
   FOR UPDATE

-- name: earlier_child
-- The run of an earlier start, which a retry continues.
SELECT id, status, params FROM headrace.run WHERE id = :id::uuid FOR UPDATE

-- name: begin_children
UPDATE headrace.job j
   SET child_state = 'begun', child_run = begun.run, updated_at = clock_timestamp()
  FROM json_to_recordset(:begun::json) AS begun (job uuid, run uuid)
 WHERE j.id = begun.job

-- name: wake_parents
-- These runs have ended: the jobs that wait for them are queued, and a worker reads the outcome.
UPDATE headrace.job j
   SET status = 'queued',
       child_state = NULL,
       queued_at = clock_timestamp(),
       updated_at = clock_timestamp()
  FROM headrace.run r
 WHERE r.id = ANY (:runs::uuid[])
   AND r.status IN ('completed', 'failed', 'cancelled', 'skipped')
   AND j.id = r.parent_job
   AND j.child_run = r.id           -- not the run of an earlier start
   AND j.status = 'waiting'
   AND j.child_state = 'begun'
RETURNING j.id, j.attempt, j.queue, j.timeout_s,
          -- The next item of its foreach may start.
          CASE WHEN j.pool_slots IS NOT NULL THEN pg_notify('headrace_bell', '') END

-- name: wake_forgotten_parents
-- The process that should have queued them has died, or the run was deleted.
UPDATE headrace.job j
   SET status = 'queued',
       child_state = NULL,
       queued_at = clock_timestamp(),
       updated_at = clock_timestamp()
 WHERE j.id IN (SELECT id
                  FROM headrace.job w
                 WHERE w.status = 'waiting'
                   AND w.child_state = 'begun'
                   AND NOT EXISTS (SELECT
                                     FROM headrace.run r
                                    WHERE r.id = w.child_run
                                      AND r.status IN ('queued', 'running'))
                 ORDER BY id
                   FOR UPDATE SKIP LOCKED)
RETURNING j.id, j.attempt, j.queue, j.timeout_s

-- name: child_of_job
-- The outcome of the run that a job waited for; no row if it was deleted.
SELECT r.id, r.pipeline, r.status, r.error
  FROM headrace.job j
  JOIN headrace.run r ON r.id = j.child_run
 WHERE j.id = :id::uuid

-- name: parent_of_run
SELECT p.id AS run_id, p.pipeline, j.id AS job_id, j.step
  FROM headrace.run r
  JOIN headrace.job j ON j.id = r.parent_job
  JOIN headrace.run p ON p.id = j.run_id
 WHERE r.id = :id::uuid

-- name: children_of_run
-- The latest runs that the steps of a run have started.
SELECT j.step, c.id, c.pipeline, c.status, c.started_at, c.finished_at
  FROM headrace.job j
  JOIN headrace.run c ON c.id = j.child_run
 WHERE j.run_id = :run_id::uuid
 ORDER BY j.id
