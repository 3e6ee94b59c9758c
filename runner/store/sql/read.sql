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

-- name: run
SELECT * FROM headrace.run WHERE id = :id::uuid

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
