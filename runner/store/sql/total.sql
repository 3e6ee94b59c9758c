-- Totals of what has ended, for /metrics. A row that ends is counted once: by the time of its end,
-- which lies before a time up to which no open transaction can end anything. See
-- docs/adr/0043-totals-of-ended-rows.md.

-- name: totals_behind
-- Whether anything has ended since the last counting: one look at the newest end of each index. Asked
-- for with EXISTS, the planner would read whole tables, in which it expects a match at once.
SELECT clock_timestamp() AS now, until, greatest(job, run, attempt) >= until AS behind
  FROM (SELECT mark.until,
               (SELECT max(finished_at)
                  FROM headrace.job
                 WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')) AS job,
               (SELECT max(finished_at)
                  FROM headrace.run
                 WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')) AS run,
               (SELECT max(finished_at) FROM headrace.job_attempt) AS attempt
          FROM headrace.total_mark mark) newest

-- name: open_writers
-- The transactions that may hold ends which nobody else sees yet. Whoever ends a row has taken this
-- lock before it reads the clock, and keeps it to its commit: what ends without being listed here
-- ends later than `now`, the time at which this statement came in.
SELECT statement_timestamp() AS now,
       ARRAY(SELECT DISTINCT l.virtualtransaction
               FROM pg_locks l
              WHERE l.locktype = 'relation'
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND l.relation IN ('headrace.job'::regclass, 'headrace.run'::regclass,
                                   'headrace.job_attempt'::regclass)
                AND l.mode = 'RowExclusiveLock') AS writers

-- name: lock_totals
-- Held to the end of the transaction: one process counts at a time. The server ends the transaction of
-- a process that was stopped in it, so that it holds up nobody for long.
UPDATE headrace.total_mark
   SET number = number + 1
RETURNING until, number, until > clock_timestamp() AS ahead,
          set_config('idle_in_transaction_session_timeout', '5s', true) AS patience

-- name: move_totals_mark
UPDATE headrace.total_mark SET until = :until::timestamptz

-- name: histogram_parts
-- Adds the values of `observed` to their histograms.
bucketed AS (
    SELECT name, width_bucket(value, :bounds::float8[]) AS place, count(*) AS found,
           sum(value) AS total
      FROM observed
     WHERE value IS NOT NULL
     GROUP BY 1, 2
), histograms AS (
    INSERT INTO headrace.total AS t (name, count, sum, buckets)
    SELECT name, sum(found), sum(total),
           ARRAY(SELECT coalesce((SELECT found FROM bucketed one
                                   WHERE one.name = bucketed.name AND one.place = places.place), 0)
                   FROM generate_series(0, cardinality(:bounds::float8[])) AS places (place)
                  ORDER BY places.place)
      FROM bucketed
     GROUP BY name
        ON CONFLICT (name) DO UPDATE
       SET count = t.count + excluded.count,
           sum = t.sum + excluded.sum,
           buckets = ARRAY(SELECT coalesce(before, 0) + coalesce(more, 0)
                             FROM unnest(t.buckets, excluded.buckets)
                                  WITH ORDINALITY AS both_of (before, more, place)
                            ORDER BY place)
)

-- name: count_jobs
-- With `ids` those jobs alone, which are about to be reopened.
WITH ended AS MATERIALIZED (
    SELECT coalesce(pipeline, '') AS pipeline, status,
           CASE WHEN status IN ('completed', 'failed')
                THEN greatest(extract(epoch FROM finished_at - started_at), 0)::float8
           END AS took_s,
           -- A job that was queued again after its last start has not been waited for.
           CASE WHEN queued_at <= started_at
                THEN extract(epoch FROM started_at - queued_at)::float8
           END AS waited_s
      FROM headrace.job
     WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')
       AND finished_at >= :since::timestamptz
       AND (:until::timestamptz IS NULL OR finished_at < :until::timestamptz)
       AND (:ids::uuid[] IS NULL OR id = ANY (:ids::uuid[]))
), totals AS (
    INSERT INTO headrace.pipeline_total AS t (pipeline, jobs, number)
    SELECT pipeline,
           ARRAY[count(*) FILTER (WHERE status = 'completed'),
                 count(*) FILTER (WHERE status = 'failed'),
                 count(*) FILTER (WHERE status = 'cancelled'),
                 count(*) FILTER (WHERE status = 'skipped')],
           :number::bigint
      FROM ended
     GROUP BY pipeline
        ON CONFLICT (pipeline) DO UPDATE
       SET jobs = ARRAY[t.jobs[1] + excluded.jobs[1], t.jobs[2] + excluded.jobs[2],
                        t.jobs[3] + excluded.jobs[3], t.jobs[4] + excluded.jobs[4]],
           number = excluded.number
), observed AS (
    SELECT 'job_duration' AS name, took_s AS value FROM ended
     UNION ALL
    SELECT 'queue_wait', waited_s FROM ended
),
-- include: histogram_parts
SELECT count(*) AS counted FROM ended

-- name: count_runs
-- With `ids` those runs alone, which are about to be reopened.
WITH ended AS MATERIALIZED (
    SELECT pipeline, status,
           CASE WHEN status IN ('completed', 'failed')
                THEN greatest(extract(epoch FROM finished_at - started_at), 0)::float8
           END AS took_s
      FROM headrace.run
     WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')
       AND finished_at >= :since::timestamptz
       AND (:until::timestamptz IS NULL OR finished_at < :until::timestamptz)
       AND (:ids::uuid[] IS NULL OR id = ANY (:ids::uuid[]))
), totals AS (
    INSERT INTO headrace.pipeline_total AS t (pipeline, runs, number)
    SELECT pipeline,
           ARRAY[count(*) FILTER (WHERE status = 'completed'),
                 count(*) FILTER (WHERE status = 'failed'),
                 count(*) FILTER (WHERE status = 'cancelled'),
                 count(*) FILTER (WHERE status = 'skipped')],
           :number::bigint
      FROM ended
     GROUP BY pipeline
        ON CONFLICT (pipeline) DO UPDATE
       SET runs = ARRAY[t.runs[1] + excluded.runs[1], t.runs[2] + excluded.runs[2],
                        t.runs[3] + excluded.runs[3], t.runs[4] + excluded.runs[4]],
           number = excluded.number
), observed AS (
    SELECT 'run_duration' AS name, took_s AS value FROM ended
),
-- include: histogram_parts
SELECT count(*) AS counted FROM ended

-- name: count_attempts
-- An attempt was retried, or its job recovered, unless the job has failed with it.
WITH noted AS MATERIALIZED (
    SELECT a.outcome, j.status IS DISTINCT FROM 'failed' OR j.attempt > a.attempt AS goes_on
      FROM headrace.job_attempt a
      LEFT JOIN headrace.job j ON j.id = a.job_id
     WHERE a.finished_at >= :since::timestamptz
       AND a.finished_at < :until::timestamptz
), counted AS (
    SELECT 'job_retries' AS name, count(*) AS found
      FROM noted
     WHERE outcome IN ('failed', 'timed_out') AND goes_on
     UNION ALL
    SELECT 'worker_crashes', count(*) FROM noted WHERE outcome = 'crashed'
     UNION ALL
    SELECT 'recoveries', count(*) FROM noted WHERE outcome = 'crashed' AND goes_on
)
INSERT INTO headrace.total AS t (name, count)
SELECT name, found FROM counted WHERE found > 0
    ON CONFLICT (name) DO UPDATE SET count = t.count + excluded.count

-- name: add_total
-- Counts what leaves no row that could be counted later, in the transaction of what happens.
INSERT INTO headrace.total AS t (name, count)
VALUES (:name::text, :by::bigint)
    ON CONFLICT (name) DO UPDATE SET count = t.count + excluded.count

-- name: add_idle_crashes
-- Workers that have died in no attempt: an attempt that has crashed is counted by its own row.
INSERT INTO headrace.total AS t (name, count)
SELECT 'worker_crashes', count(*)
  FROM unnest(:names::text[]) AS dead (name)
 WHERE NOT EXISTS (SELECT FROM headrace.job
                    WHERE worker = dead.name
                      AND status = 'started')
HAVING count(*) > 0
    ON CONFLICT (name) DO UPDATE SET count = t.count + excluded.count

-- name: add_observations
-- The same for values of a histogram.
WITH observed AS (
    SELECT :name::text AS name, value FROM unnest(:values::float8[]) AS value
),
-- include: histogram_parts
SELECT count(*) AS counted FROM observed

-- name: runs_of_jobs
SELECT DISTINCT run_id FROM headrace.job WHERE id = ANY (:ids::uuid[]) AND run_id IS NOT NULL

-- name: handlers_to_reopen
-- The ended handlers that `reopen_handlers` will reopen, or `retire_items` skip.
SELECT id
  FROM headrace.job
 WHERE run_id = ANY (:runs::uuid[])
   AND handler IS NOT NULL
   AND (status IN ('failed', 'cancelled')
        OR (status = 'skipped' AND NOT EXISTS (
-- include: maker_of_item_part
            )))

-- name: totals
SELECT name, count, sum, buckets FROM headrace.total

-- name: changed_pipeline_totals
-- What has changed since the counting `after`: a look costs what has ended meanwhile.
SELECT pipeline, jobs, runs, number
  FROM headrace.pipeline_total
 WHERE number > :after::bigint

-- name: declared_pipelines
-- The names alone, from the index: the rows are large.
SELECT ARRAY(SELECT name FROM headrace.pipeline
              UNION
             SELECT pipeline FROM headrace.schedule WHERE declared <> '' OR paused) AS names

-- name: unusual_schedules
-- Schedules with something to show; all others show zeros.
SELECT pipeline, paused, skipped,
       CASE WHEN NOT paused AND next_instant < clock_timestamp()
            THEN extract(epoch FROM clock_timestamp() - next_instant)::float8
            ELSE 0
       END AS overdue_s
  FROM headrace.schedule
 WHERE paused OR skipped > 0 OR next_instant < clock_timestamp()
