-- Queries for people and programs.

-- name: job
SELECT * FROM headrace.job WHERE id = :id::uuid

-- name: jobs_of_run
-- With the times of the run that a step has started: while that runs, the step's job is waiting.
SELECT j.*, c.started_at AS child_started_at, c.finished_at AS child_finished_at
  FROM headrace.job j
  LEFT JOIN headrace.run c ON c.id = j.child_run
 WHERE j.run_id = :run_id::uuid
 ORDER BY j.id

-- name: page_of_run
-- A page of them, after the last id of the page before; with `since`, only those that have changed
-- from then on, and those that run, whose progress is elsewhere. The run's jobs are found first:
-- for the sake of the order, the planner would look for them in the primary key.
SELECT j.*, c.started_at AS child_started_at, c.finished_at AS child_finished_at
  FROM (SELECT * FROM headrace.job WHERE run_id = :run_id::uuid OFFSET 0) AS j
  LEFT JOIN headrace.run c ON c.id = j.child_run
 WHERE (:after::uuid IS NULL OR j.id > :after::uuid)
   AND (:since::timestamptz IS NULL
        OR j.updated_at >= :since::timestamptz
        OR c.updated_at >= :since::timestamptz
        OR j.status = 'started')
 ORDER BY j.id
 LIMIT :limit::integer

-- name: counts_of_run
SELECT status, count(*) AS jobs FROM headrace.job WHERE run_id = :run_id::uuid GROUP BY status

-- name: dependencies_of_jobs
SELECT upstream_id, job_id FROM headrace.job_dependency WHERE job_id = ANY (:ids::uuid[])

-- name: upstream_of_job
SELECT d.upstream_id, j.step, j.job_class, j.status
  FROM headrace.job_dependency d
  LEFT JOIN headrace.job j ON j.id = d.upstream_id
 WHERE d.job_id = :id::uuid
 ORDER BY d.upstream_id

-- name: attempts_of_job
-- First the attempts that did not complete, then the one that completed or is running.
SELECT attempt, outcome, worker, started_at, finished_at, error, traceback
  FROM headrace.job_attempt
 WHERE job_id = :id::uuid
 UNION ALL
SELECT attempt, status, worker, started_at, finished_at, NULL, NULL
  FROM headrace.job
 WHERE id = :id::uuid
   AND status IN ('started', 'completed')
 ORDER BY attempt

-- name: logs_of_job
SELECT attempt, line, at, level, message
  FROM headrace.job_log
 WHERE job_id = :id::uuid
 ORDER BY attempt, line

-- name: logs_of_jobs
SELECT job_id, attempt, line, at, level, message
  FROM headrace.job_log
 WHERE job_id = ANY (:ids::uuid[])
 ORDER BY at, job_id, attempt, line

-- name: logs_of_attempts
-- What attempts have logged after the line that was seen of each: a part of the primary key's index.
SELECT said.job AS job_id, log.attempt, log.line, log.at, log.level, log.message
  FROM json_to_recordset(:seen::json) AS said (job uuid, attempt integer, line integer)
  JOIN headrace.job_log log
    ON log.job_id = said.job
   AND log.attempt = said.attempt
   AND log.line > said.line
 ORDER BY log.at, log.job_id, log.attempt, log.line

-- name: run
SELECT * FROM headrace.run WHERE id = :id::uuid

-- name: rows_by_beginning
-- Runs and jobs whose ids lie between two, a few of each by their primary keys, runs first: a short
-- beginning may be that of millions.
(SELECT 'run' AS kind, id, pipeline AS name, status::text, created_at
   FROM headrace.run
  WHERE id BETWEEN :first::uuid AND :last::uuid
  ORDER BY id DESC
  LIMIT :limit::integer)
 UNION ALL
(SELECT 'job', id, coalesce(pipeline || '.' || step, job_class), status::text, created_at
   FROM headrace.job
  WHERE id BETWEEN :first::uuid AND :last::uuid
  ORDER BY id DESC
  LIMIT :limit::integer)
 LIMIT :limit::integer

-- name: run_with_own_jobs
-- The only run between two ids, if all jobs between them are its own. The first that is not ends
-- the search, and ids that were given together lie together.
WITH run AS MATERIALIZED (
    SELECT id
      FROM headrace.run
     WHERE id BETWEEN :first::uuid AND :last::uuid
     ORDER BY id
     LIMIT 2
)
SELECT id
  FROM run
 WHERE (SELECT count(*) FROM run) = 1
   AND NOT EXISTS (SELECT FROM (SELECT run_id
                                  FROM headrace.job
                                 WHERE id BETWEEN :first::uuid AND :last::uuid
                                 ORDER BY id
                                OFFSET 0) AS near
                    WHERE near.run_id IS DISTINCT FROM run.id)

-- name: workers
SELECT name, hostname, pid, queues, processes, status, started_at, seen_at, job_files,
       (SELECT count(*) FROM headrace.job j
         WHERE j.worker = w.name AND j.status = 'started') AS running
  FROM headrace.worker w
 WHERE status IN ('running', 'draining')
    OR seen_at > clock_timestamp() - interval '10 minutes'
 ORDER BY started_at

-- name: last_runs
-- The newest run of each of these pipelines.
SELECT last.*
  FROM unnest(:pipelines::text[]) AS wanted (name)
 CROSS JOIN LATERAL (SELECT id, pipeline, status, trigger, logical_date, started_at, finished_at
                       FROM headrace.run
                      WHERE pipeline = wanted.name
                      ORDER BY id DESC
                      LIMIT 1) AS last
