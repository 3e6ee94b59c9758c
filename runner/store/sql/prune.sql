-- Retention: deletes what ended long ago, in batches by id, each one statement and one transaction.
-- Rows are found by arrays of keys: joined to a batch of unknown size, the planner would read the
-- whole table of jobs for each. A scan starts after the last id of the batch before, so that what is
-- kept is looked at once, and ends before `until`: ids begin with the moment of their making, and
-- nothing has ended before it was made. Without that end each pruning would read the whole history.
-- What the totals have not counted yet is kept, too: see total.sql.

-- name: deleted_jobs_part
lines AS (
    DELETE FROM headrace.job_log WHERE job_id = ANY (ARRAY(SELECT id FROM old_job))
), attempts AS (
    DELETE FROM headrace.job_attempt WHERE job_id = ANY (ARRAY(SELECT id FROM old_job))
), jobs AS (
    DELETE FROM headrace.job WHERE id = ANY (ARRAY(SELECT id FROM old_job))
)

-- name: prune_runs
-- A run is deleted as a whole. Only jobs that did not complete can be reopened: a run with one that
-- is open, or locked by somebody who reopens it, is kept, and so is one that a job outside waits for
-- (only jobs without a run wait for jobs of others), or whose parent has not read its outcome.
WITH batch AS MATERIALIZED (
    SELECT id, parent_job
      FROM headrace.run
     WHERE id > :after::uuid
       AND id < :until::uuid
       AND status IN ('completed', 'failed', 'cancelled', 'skipped')
       AND finished_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)
       AND finished_at < (SELECT until FROM headrace.total_mark)
     ORDER BY id
     LIMIT :limit::integer
       FOR UPDATE SKIP LOCKED
), theirs AS MATERIALIZED (
    SELECT id, run_id, status, finished_at
      FROM headrace.job
     WHERE run_id = ANY (ARRAY(SELECT id FROM batch))
), held AS MATERIALIZED (
    SELECT id
      FROM headrace.job
     WHERE id = ANY (ARRAY(SELECT id FROM theirs WHERE status <> 'completed'))
       AND status IN ('failed', 'cancelled', 'skipped')
       FOR UPDATE SKIP LOCKED
), kept AS MATERIALIZED (
    SELECT run_id
      FROM theirs
     WHERE status <> 'completed'
       AND id NOT IN (SELECT id FROM held)
     UNION
    SELECT run_id FROM theirs WHERE finished_at >= (SELECT until FROM headrace.total_mark)
     UNION
    SELECT batch.id
      FROM batch
      JOIN headrace.job parent ON parent.id = batch.parent_job
     WHERE parent.child_run = batch.id
       AND parent.status IN ('waiting', 'queued', 'started', 'retrying')
     UNION
    SELECT theirs.run_id
      FROM theirs
     CROSS JOIN LATERAL (SELECT job_id
                           FROM headrace.job_dependency
                          WHERE upstream_id = theirs.id
                         OFFSET 0) edge
     CROSS JOIN LATERAL (SELECT
                           FROM headrace.job
                          WHERE id = edge.job_id
                            AND status = 'waiting'
                         OFFSET 0) outside
     WHERE EXISTS (SELECT FROM headrace.job WHERE status = 'waiting' AND run_id IS NULL)
), old_run AS MATERIALIZED (
    SELECT id FROM batch WHERE id NOT IN (SELECT run_id FROM kept)
), old_job AS MATERIALIZED (
    SELECT id FROM theirs WHERE run_id NOT IN (SELECT run_id FROM kept)
), edges AS (
    DELETE FROM headrace.job_dependency WHERE upstream_id = ANY (ARRAY(SELECT id FROM old_job))
),
-- include: deleted_jobs_part
, used AS (
    DELETE FROM headrace.triggered WHERE upstream_run = ANY (ARRAY(SELECT id FROM old_run))
), started AS (
    UPDATE headrace.triggered
       SET run_id = NULL
     WHERE run_id = ANY (ARRAY(SELECT id FROM old_run))
       AND upstream_run NOT IN (SELECT id FROM old_run)
), runs AS (
    DELETE FROM headrace.run WHERE id = ANY (ARRAY(SELECT id FROM old_run))
)
SELECT (SELECT id FROM batch ORDER BY id DESC LIMIT 1) AS last,
       (SELECT count(*) FROM batch) AS found,
       (SELECT count(*) FROM old_run) AS runs,
       (SELECT count(*) FROM old_job) AS jobs,
-- include: work_at_hand_part

-- name: work_at_hand_part
EXISTS (SELECT FROM headrace.job WHERE status = 'queued')
       OR EXISTS (SELECT FROM headrace.job WHERE status = 'started') AS busy

-- name: prune_jobs
-- Jobs without a run.
WITH batch AS MATERIALIZED (
    SELECT id
      FROM headrace.job
     WHERE id > :after::uuid
       AND id < :until::uuid
       AND run_id IS NULL
       AND status IN ('completed', 'failed', 'cancelled', 'skipped')
       AND finished_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)
       AND finished_at < (SELECT until FROM headrace.total_mark)
     ORDER BY id
     LIMIT :limit::integer
       FOR UPDATE SKIP LOCKED
), kept AS MATERIALIZED (
    SELECT batch.id
      FROM batch
     CROSS JOIN LATERAL (SELECT job_id
                           FROM headrace.job_dependency
                          WHERE upstream_id = batch.id
                         OFFSET 0) edge
     CROSS JOIN LATERAL (SELECT
                           FROM headrace.job
                          WHERE id = edge.job_id
                            AND status = 'waiting'
                         OFFSET 0) dependant
     WHERE EXISTS (SELECT FROM headrace.job WHERE status = 'waiting' AND run_id IS NULL)
), old_job AS MATERIALIZED (
    SELECT id FROM batch WHERE id NOT IN (SELECT id FROM kept)
), edges AS (
    DELETE FROM headrace.job_dependency
     WHERE upstream_id = ANY (ARRAY(SELECT id FROM old_job))
        OR job_id = ANY (ARRAY(SELECT id FROM old_job))
),
-- include: deleted_jobs_part
SELECT (SELECT id FROM batch ORDER BY id DESC LIMIT 1) AS last,
       (SELECT count(*) FROM batch) AS found,
       (SELECT count(*) FROM old_job) AS jobs,
-- include: work_at_hand_part

-- name: prune_logs
-- The logs of jobs that are kept, or gone: no lines are written any more for what has ended.
WITH batch AS MATERIALIZED (
    SELECT DISTINCT job_id
      FROM headrace.job_log
     WHERE job_id > :after::uuid
       AND job_id < :until::uuid
     ORDER BY job_id
     LIMIT :limit::integer
), old AS MATERIALIZED (
    SELECT batch.job_id
      FROM batch
      LEFT JOIN headrace.job j ON j.id = batch.job_id
     WHERE j.id IS NULL
        OR (j.status IN ('completed', 'failed', 'cancelled', 'skipped')
            AND j.finished_at < clock_timestamp() - make_interval(secs => :older_than_s::float8))
), lines AS (
    DELETE FROM headrace.job_log WHERE job_id = ANY (ARRAY(SELECT job_id FROM old))
)
SELECT (SELECT job_id FROM batch ORDER BY job_id DESC LIMIT 1) AS last,
       (SELECT count(*) FROM batch) AS found,
       (SELECT count(*) FROM old) AS jobs,
-- include: work_at_hand_part

-- name: prune_plans
-- Plans that no run refers to. Whoever plans a run like this now holds the row: see `keep_plans`.
DELETE FROM headrace.plan
 WHERE id IN (SELECT p.id
                FROM headrace.plan p
               WHERE p.made_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)
                 AND NOT EXISTS (SELECT FROM headrace.run r WHERE r.plan_id = p.id)
               ORDER BY p.id
                 FOR UPDATE SKIP LOCKED)

-- name: prune_attempts
-- Attempts of jobs that are gone: one that failed just when its job was deleted, and those that
-- earlier versions left to a foreign key.
DELETE FROM headrace.job_attempt a
 WHERE a.job_id > :after::uuid
   AND a.job_id < :until::uuid
   AND a.finished_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)
   AND NOT EXISTS (SELECT FROM headrace.job j WHERE j.id = a.job_id)

-- name: prune_triggered
-- Notes of upstream runs that are gone: one that was decided about just when it was deleted, and
-- those that a daemon of an earlier version left to a foreign key.
DELETE FROM headrace.triggered t
 WHERE t.upstream_run > :after::uuid
   AND t.upstream_run < :until::uuid
   AND t.used_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)
   AND NOT EXISTS (SELECT FROM headrace.run r WHERE r.id = t.upstream_run)

-- name: attempts_of_jobs
-- The running attempt of each job, if there is one: files of all other attempts can be deleted.
SELECT id, CASE WHEN status = 'started' THEN attempt END AS running
  FROM headrace.job
 WHERE id = ANY(:ids::uuid[])
