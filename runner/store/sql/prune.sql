-- Retention: deletes what ended long ago, in batches, each in a transaction of its own.

-- name: prune_runs
-- A run is deleted as a whole. It is kept while jobs outside it depend on one of its jobs.
SELECT r.id
  FROM headrace.run r
 WHERE r.status IN ('completed', 'failed', 'cancelled', 'skipped')
   AND r.finished_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)
   AND NOT EXISTS (SELECT FROM headrace.job j
                    WHERE j.run_id = r.id
                      AND j.status IN ('waiting', 'queued', 'started', 'retrying'))
   -- A run that a step has started is kept until that step has read its outcome.
   AND NOT EXISTS (SELECT FROM headrace.job p
                    WHERE p.id = r.parent_job
                      AND p.child_run = r.id
                      AND p.status IN ('waiting', 'queued', 'started', 'retrying'))
   AND NOT EXISTS (SELECT FROM headrace.job j
                     JOIN headrace.job_dependency d ON d.upstream_id = j.id
                     JOIN headrace.job w ON w.id = d.job_id
                    WHERE j.run_id = r.id
                      AND w.status = 'waiting')
 ORDER BY r.id
 LIMIT :limit::integer
   FOR UPDATE OF r SKIP LOCKED

-- name: prunable_jobs_of_runs
SELECT id FROM headrace.job WHERE run_id = ANY (:runs::uuid[]) FOR UPDATE

-- name: prunable_jobs
-- Jobs without a run.
SELECT j.id
  FROM headrace.job j
 WHERE j.run_id IS NULL
   AND j.status IN ('completed', 'failed', 'cancelled', 'skipped')
   AND j.finished_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)
   AND NOT EXISTS (SELECT FROM headrace.job_dependency d
                     JOIN headrace.job w ON w.id = d.job_id
                    WHERE d.upstream_id = j.id
                      AND w.status = 'waiting')
 ORDER BY j.id
 LIMIT :limit::integer
   FOR UPDATE OF j SKIP LOCKED

-- name: delete_jobs
WITH gone AS (
    DELETE FROM headrace.job WHERE id = ANY (:ids::uuid[]) RETURNING id
), edges AS (
    DELETE FROM headrace.job_dependency
     WHERE upstream_id = ANY (:ids::uuid[])
        OR job_id = ANY (:ids::uuid[])
), lines AS (
    DELETE FROM headrace.job_log WHERE job_id = ANY (:ids::uuid[])
)
SELECT count(*) AS jobs FROM gone

-- name: delete_runs
WITH gone AS (
    DELETE FROM headrace.run WHERE id = ANY (:ids::uuid[]) RETURNING id
)
SELECT count(*) AS runs FROM gone

-- name: attempts_of_jobs
-- The running attempt of each job, if there is one: files of all other attempts can be deleted.
SELECT id, CASE WHEN status = 'started' THEN attempt END AS running
  FROM headrace.job
 WHERE id = ANY(:ids::uuid[])
