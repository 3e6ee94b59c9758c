-- Ended runs for traces and lineage events, in the order of their ends.

-- name: begin_telemetry
-- What ended before a receiver was named is not sent.
INSERT INTO headrace.telemetry_mark (receiver)
SELECT unnest(:receivers::text[])
    ON CONFLICT DO NOTHING

-- name: runs_to_export
-- Of what the totals contain: of that nothing is invisible any more (see total.sql).
SELECT r.id, r.pipeline, r.version, r.status, r.trigger, r.logical_date, r.created_at, r.started_at,
       r.finished_at, r.error, r.parent_job,
       (SELECT run_id FROM headrace.job WHERE id = r.parent_job) AS parent_run
  FROM headrace.run r
 WHERE r.status IN ('completed', 'failed', 'cancelled', 'skipped')
   AND r.finished_at >= (SELECT finished_at FROM headrace.telemetry_mark
                          WHERE receiver = :receiver::text)
   AND r.finished_at < (SELECT until FROM headrace.total_mark)
   AND (r.finished_at, r.id) > (SELECT finished_at, run_id FROM headrace.telemetry_mark
                                 WHERE receiver = :receiver::text)
 ORDER BY r.finished_at, r.id
 LIMIT :limit::integer

-- name: jobs_to_export
SELECT id, job_class, payload, status, queue, run_id, step, attempt, worker, created_at, queued_at,
       started_at, finished_at, error, skip_reason
  FROM headrace.job
 WHERE run_id = ANY (:runs::uuid[])
 ORDER BY id

-- name: attempts_to_export
-- The attempts that did not complete their jobs.
SELECT a.job_id, a.attempt, a.outcome, a.worker, a.started_at, a.finished_at, a.error
  FROM headrace.job j
  JOIN headrace.job_attempt a ON a.job_id = j.id
 WHERE j.run_id = ANY (:runs::uuid[])
 ORDER BY a.job_id, a.attempt

-- name: move_telemetry_mark
UPDATE headrace.telemetry_mark
   SET finished_at = :finished_at::timestamptz, run_id = :run::uuid
 WHERE receiver = :receiver::text
   AND (finished_at, run_id) < (:finished_at::timestamptz, :run::uuid)
