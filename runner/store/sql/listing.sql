-- Listings of jobs and runs, newest first, a page at a time; `before` is the last id of the previous
-- page. Each reads little, however long the history is and whichever rows match: a filter is served
-- by an index whose last column is the id, and no filter by the primary key.

-- name: jobs
SELECT *
  FROM headrace.job
 WHERE (:before::uuid IS NULL OR id < :before::uuid)
 ORDER BY id DESC
 LIMIT :limit::integer

-- name: job_filter_part
(:status::text IS NULL OR status = :status::text)
   AND (:queue::text IS NULL OR queue = :queue::text)
   AND (:job_class::text IS NULL OR job_class = :job_class::text)

-- name: open_jobs_part
-- Jobs that have not ended. Those that are started or being retried are as many as there is work at
-- hand: the partial index of their status is read whole. With OFFSET 0 the planner does not walk down
-- the primary key instead, in the hope of meeting one soon.
(SELECT id
   FROM headrace.job
  WHERE status = 'waiting'
    AND
-- include: open_job_filter_part
  ORDER BY id DESC
  LIMIT :limit::integer)
     UNION ALL
(SELECT id
   FROM newest_queued
  ORDER BY id DESC
  LIMIT :limit::integer)
     UNION ALL
(SELECT id
   FROM (SELECT id
           FROM headrace.job
          WHERE status = 'started'
            AND
-- include: open_job_filter_part
         OFFSET 0) AS started
  ORDER BY id DESC
  LIMIT :limit::integer)
     UNION ALL
(SELECT id
   FROM (SELECT id
           FROM headrace.job
          WHERE status = 'retrying'
            AND
-- include: open_job_filter_part
         OFFSET 0) AS retrying
  ORDER BY id DESC
  LIMIT :limit::integer)

-- name: open_job_filter_part
-- include: job_filter_part
   AND (:pipeline::text IS NULL OR pipeline = :pipeline::text)
   AND (:before::uuid IS NULL OR id < :before::uuid)

-- name: newest_of_kinds_part
-- The index is read downwards from the kind's place, a page at most; what it has of the kinds below
-- is left out afterwards. Asked for by an equality, a kind that the planner takes for rare would be
-- read whole and sorted.
ORDER BY job_class DESC, queue DESC, status DESC, id DESC
                          LIMIT :limit::integer) AS found
     WHERE found.job_class = kind.job_class
       AND found.queue = kind.queue
       AND found.status = kind.status
       AND (:status::text IS NULL OR kind.status = :status::text)
       AND (:queue::text IS NULL OR kind.queue = :queue::text)
       AND (:job_class::text IS NULL OR kind.job_class = :job_class::text)
     UNION ALL
-- include: open_jobs_part

-- name: queued_jobs_part
-- Queued jobs may be millions: a page is merged from the newest of each kind (queue, class), as below.
-- The kinds are found from the last one down, since the oldest of each is claimed first: upwards,
-- each look would meet the dead entries of what has been claimed. The limit of a kind is a query: one
-- that the planner knew would have it read and sort whole kinds where its statistics are of a time
-- when few jobs were queued.
queued_kind AS (
    (SELECT queue, job_class
       FROM headrace.job
      WHERE status = 'queued'
        AND (:queue::text IS NULL OR queue = :queue::text)
        AND (:pipeline::text IS NULL OR pipeline = :pipeline::text)
        AND (:status::text IS NULL OR :status::text = 'queued')
      ORDER BY queue DESC, job_class DESC
      LIMIT 1)
     UNION ALL
    SELECT following.*
      FROM queued_kind AS kind
     CROSS JOIN LATERAL (SELECT queue, job_class
                           FROM headrace.job
                          WHERE status = 'queued'
                            AND (:pipeline::text IS NULL OR pipeline = :pipeline::text)
                            AND (queue, job_class) < (kind.queue, kind.job_class)
                          ORDER BY queue DESC, job_class DESC
                          LIMIT 1) AS following
     WHERE :queue::text IS NULL OR kind.queue = :queue::text
), newest_queued AS (
    SELECT found.id
      FROM queued_kind AS kind
     CROSS JOIN LATERAL (SELECT id, job_class, queue
                           FROM headrace.job
                          WHERE status = 'queued'
                            AND (:pipeline::text IS NULL OR pipeline = :pipeline::text)
                            AND (queue, job_class, id)
                                < (kind.queue, kind.job_class,
                                   coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                          ORDER BY queue DESC, job_class DESC, id DESC
                          LIMIT (SELECT :limit::integer)) AS found
     WHERE found.queue = kind.queue
       AND found.job_class = kind.job_class
       AND (:queue::text IS NULL OR kind.queue = :queue::text)
       AND (:job_class::text IS NULL OR kind.job_class = :job_class::text)
)

-- name: jobs_of_kind
-- The kinds that match, each found by one look into the index after the kind before it; then the
-- newest jobs of each. Few kinds are in use, so that a kind that matched once and never again costs
-- as little as one that matches always. A class is asked of the kind before, not of the next one:
-- together with the comparison of rows, an equality would have all of the class read.
WITH RECURSIVE kind AS (
    (SELECT job_class, queue, status::text
       FROM headrace.job
      WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')
        AND (:job_class::text IS NULL OR job_class = :job_class::text)
      ORDER BY job_class, queue, status
      LIMIT 1)
     UNION ALL
    SELECT following.*
      FROM kind
     CROSS JOIN LATERAL (SELECT job_class, queue, status::text
                           FROM headrace.job
                          WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')
                            AND (job_class, queue, status)
                                > (kind.job_class, kind.queue, kind.status)
                          ORDER BY job_class, queue, status
                          LIMIT 1) AS following
     WHERE :job_class::text IS NULL OR kind.job_class = :job_class::text
),
-- include: queued_jobs_part
, newest AS (
    SELECT found.id
      FROM kind
     CROSS JOIN LATERAL (SELECT id, job_class, queue, status::text
                           FROM headrace.job
                          WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')
                            AND (job_class, queue, status, id)
                                < (kind.job_class, kind.queue, kind.status,
                                   coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
-- include: newest_of_kinds_part
)
-- include: rows_of_newest_jobs_part

-- name: jobs_of_pipeline
-- The same within a pipeline.
WITH RECURSIVE kind AS (
    (SELECT job_class, queue, status::text
       FROM headrace.job
      WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')
        AND pipeline = :pipeline::text
        AND (:job_class::text IS NULL OR job_class = :job_class::text)
      ORDER BY job_class, queue, status
      LIMIT 1)
     UNION ALL
    SELECT following.*
      FROM kind
     CROSS JOIN LATERAL (SELECT job_class, queue, status::text
                           FROM headrace.job
                          WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')
                            AND pipeline = :pipeline::text
                            AND (job_class, queue, status)
                                > (kind.job_class, kind.queue, kind.status)
                          ORDER BY job_class, queue, status
                          LIMIT 1) AS following
     WHERE :job_class::text IS NULL OR kind.job_class = :job_class::text
),
-- include: queued_jobs_part
, newest AS (
    SELECT found.id
      FROM kind
     CROSS JOIN LATERAL (SELECT id, job_class, queue, status::text
                           FROM headrace.job
                          WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')
                            AND pipeline = :pipeline::text
                            AND (job_class, queue, status, id)
                                < (kind.job_class, kind.queue, kind.status,
                                   coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
-- include: newest_of_kinds_part
)
-- include: rows_of_newest_jobs_part

-- name: rows_of_newest_jobs_part
SELECT j.*
  FROM (SELECT id FROM newest ORDER BY id DESC LIMIT :limit::integer) AS page
  JOIN headrace.job j ON j.id = page.id
 ORDER BY j.id DESC

-- name: listed_run_part
SELECT id, pipeline, version, status, trigger, logical_date, params, error, created_at,
       started_at, finished_at, updated_at
  FROM headrace.run

-- name: runs
-- Without a status: the primary key, or the runs of a pipeline.
-- include: listed_run_part
 WHERE (:before::uuid IS NULL OR id < :before::uuid)
   AND (:pipeline::text IS NULL OR pipeline = :pipeline::text)
 ORDER BY id DESC
 LIMIT :limit::integer

-- name: ended_runs
-- include: listed_run_part
 WHERE status IN ('completed', 'failed', 'cancelled', 'skipped')
   AND status = :status::text
   AND (:pipeline::text IS NULL OR pipeline = :pipeline::text)
   AND (:before::uuid IS NULL OR id < :before::uuid)
 ORDER BY id DESC
 LIMIT :limit::integer

-- name: open_runs
-- include: listed_run_part
 WHERE status IN ('queued', 'running')
   AND status = :status::text
   AND (:pipeline::text IS NULL OR pipeline = :pipeline::text)
   AND (:before::uuid IS NULL OR id < :before::uuid)
 ORDER BY id DESC
 LIMIT :limit::integer

-- name: open_counts
-- Counts of unfinished jobs by queue and status, each from the partial index of its status: asked
-- for in one condition they would be looked for in the whole table.
SELECT queue, 'queued' AS status, count(*) AS jobs, min(queued_at) AS oldest
  FROM headrace.job
 WHERE status = 'queued'
 GROUP BY queue
 UNION ALL
SELECT queue, 'started', count(*), NULL
  FROM headrace.job
 WHERE status = 'started'
 GROUP BY queue
 UNION ALL
SELECT queue, 'retrying', count(*), NULL
  FROM headrace.job
 WHERE status = 'retrying'
 GROUP BY queue
