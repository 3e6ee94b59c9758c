-- Queries of the web page's live views, of backfills and of the metrics.

-- name: run_progress
-- The state of a run and its jobs, in one query per poll. With `since`, only jobs that have changed
-- from then on, and those that run, whose progress is elsewhere.
SELECT r.id, r.pipeline, r.status, r.started_at, r.finished_at, r.error,
       (SELECT coalesce(json_object_agg(status, jobs), '{}')
          FROM (SELECT status, count(*) AS jobs
                  FROM headrace.job
                 WHERE run_id = r.id
                 GROUP BY status) AS counted) AS counts,
       ARRAY(SELECT json_build_object('id', j.id, 'step', j.step, 'status', j.status,
                                      'attempt', j.attempt, 'retry_count', j.retry_count,
                                      'next_retry_time', j.next_retry_time,
                                      'child_run', j.child_run,
                                      'child_started_at', c.started_at,
                                      'child_finished_at', c.finished_at,
                                      'started_at', j.started_at, 'finished_at', j.finished_at)
               FROM headrace.job j
               LEFT JOIN headrace.run c ON c.id = j.child_run
              WHERE j.run_id = r.id
                AND (:since::timestamptz IS NULL
                     OR j.updated_at >= :since::timestamptz
                     OR c.updated_at >= :since::timestamptz
                     OR j.status = 'started')
              ORDER BY j.id) AS jobs
  FROM headrace.run r
 WHERE r.id = :id::uuid

-- name: instants_with_runs
-- Instants for which a schedule or a backfill has created a run; uses the unique index.
SELECT logical_date, pipeline, trigger, params
  FROM headrace.run
 WHERE pipeline = :pipeline::text
   AND trigger IN ('schedule', 'backfill')
   AND logical_date = ANY (:instants::timestamptz[])

-- name: waiting_counts
-- Jobs of open runs that wait for others; the cost grows with the open work only.
SELECT j.queue, count(*) AS jobs
  FROM headrace.run r
  JOIN headrace.job j ON j.run_id = r.id AND j.status = 'waiting'
 WHERE r.status IN ('queued', 'running')
 GROUP BY j.queue

-- name: open_run_counts
SELECT status, count(*) AS runs
  FROM headrace.run
 WHERE status IN ('queued', 'running')
 GROUP BY status

-- name: clock
SELECT clock_timestamp() AS now

-- name: refuse_read_only
-- Fails on a server that takes no writes, and writes nothing on the others.
UPDATE headrace.installation SET id = id WHERE false

-- name: spill_soon
-- For `spill`: so little memory that it writes to the disk of the database's own tablespace.
SELECT set_config('work_mem', '64kB', true), set_config('temp_tablespaces', '', true)

-- name: spill
-- Fails if the disk is full: it writes some hundred kilobytes to a file that is removed at once. It
-- writes no row, so that frequent checks leave nothing for VACUUM.
SELECT count(*) FROM generate_series(1, 5000)
