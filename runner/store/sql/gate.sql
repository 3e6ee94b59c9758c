-- The gate: what becomes of waiting jobs when an upstream job ends without success, and the
-- few cases that the completing statement leaves undecided.

-- name: lower_dependents
-- Several upstream jobs have ended in one way (`failed` or `skipped`; cancelled counts as
-- failed, and the failure of a job that may fail as `completed`). Dependants that are skipped by it are returned too: their own dependants come next.
WITH edge AS MATERIALIZED (
    SELECT job_id, count(*) AS ended
      FROM headrace.job_dependency
     WHERE upstream_id = ANY (:upstream::uuid[])
     GROUP BY job_id
), child AS MATERIALIZED (
    SELECT j.id, edge.ended
      FROM edge
      JOIN headrace.job j ON j.id = edge.job_id
     WHERE j.status = 'waiting'
     ORDER BY j.id
       FOR UPDATE OF j
)
UPDATE headrace.job j
   SET deps_left = greatest(j.deps_left - child.ended, 0),
       status = CASE
           WHEN j.trigger_rule = 'all_success' AND :outcome::text <> 'completed' THEN 'skipped'
           WHEN j.trigger_rule = 'none_failed' AND :outcome::text = 'failed' THEN 'skipped'
           WHEN j.when_expr IS NOT NULL OR j.pool IS NOT NULL THEN 'waiting'
           WHEN j.trigger_rule = 'one_failed' AND :outcome::text = 'failed' THEN 'queued'
           WHEN j.trigger_rule = 'one_success' AND :outcome::text = 'completed' THEN 'queued'
           WHEN j.deps_left > child.ended THEN 'waiting'
           WHEN j.trigger_rule IN ('one_success', 'one_failed') THEN 'skipped'
           ELSE 'queued'
       END,
       queued_at = clock_timestamp(),
       updated_at = clock_timestamp()
  FROM child
 WHERE j.id = child.id
   AND j.status = 'waiting'
RETURNING j.id, j.status, j.attempt, j.queue, j.timeout_s, j.run_id, j.dependents, j.deps_left

-- name: mark_skipped_finished
-- A skipped job never started: only its end has a time.
UPDATE headrace.job
   SET finished_at = clock_timestamp(), queued_at = NULL
 WHERE id = ANY (:ids::uuid[])
   AND status = 'skipped'

-- name: lock_dependants
-- First half of a recount: hold the waiting dependants, so that nobody lowers them meanwhile.
SELECT j.id
  FROM headrace.job_dependency d
  JOIN headrace.job j ON j.id = d.job_id
 WHERE d.upstream_id = :upstream::uuid
   AND j.status = 'waiting'
 ORDER BY j.id
   FOR UPDATE OF j

-- name: verdict_parts
-- What the trigger rules say of these jobs, by what is above them as it really is. Where there
-- is a condition, all that it may speak of has to have ended first.
upstream AS (
    SELECT d.job_id,
           count(*) FILTER (WHERE u.status IN ('waiting', 'queued', 'started', 'retrying'))
               AS unfinished,
           count(*) FILTER (WHERE u.status = 'completed'
                               OR (u.status = 'failed' AND u.allow_failure)) AS completed,
           count(*) FILTER (WHERE u.status = 'cancelled'
                               OR (u.status = 'failed' AND NOT u.allow_failure)) AS failed,
           count(*) FILTER (WHERE u.status = 'skipped') AS skipped
      FROM headrace.job_dependency d
      JOIN headrace.job u ON u.id = d.upstream_id
     WHERE d.job_id = ANY (:ids::uuid[])
     GROUP BY d.job_id
), counted AS (
    SELECT j.id,
           coalesce(unfinished, 0) AS unfinished,
           CASE
               WHEN trigger_rule = 'all_success' AND failed + skipped > 0 THEN 'skipped'
               WHEN trigger_rule = 'none_failed' AND failed > 0 THEN 'skipped'
               WHEN (when_expr IS NOT NULL OR pool IS NOT NULL) AND unfinished > 0 THEN 'waiting'
               WHEN trigger_rule = 'one_success' AND completed > 0 THEN 'queued'
               WHEN trigger_rule = 'one_failed' AND failed > 0 THEN 'queued'
               WHEN unfinished > 0 THEN 'waiting'
               WHEN trigger_rule IN ('one_success', 'one_failed')
                AND completed + failed + skipped > 0 THEN 'skipped'
               ELSE 'queued'
           END AS verdict
      FROM headrace.job j
      LEFT JOIN upstream ON upstream.job_id = j.id
     WHERE j.id = ANY (:ids::uuid[])
)

-- name: recount_waiting
-- Second half, a statement of its own for a fresh snapshot: look at what these waiting jobs
-- wait for as it really is, whoever may have lowered them or failed to, and decide by it.
WITH
-- include: verdict_parts
UPDATE headrace.job j
   SET deps_left = unfinished,
       status = CASE WHEN verdict = 'queued' AND (when_expr IS NOT NULL OR pool IS NOT NULL)
                     THEN 'waiting'
                     ELSE verdict END,
       queued_at = clock_timestamp(),
       updated_at = clock_timestamp()
  FROM counted
 WHERE j.id = counted.id
   AND j.status = 'waiting'
   AND j.handler IS NULL
RETURNING j.id, j.status, j.attempt, j.queue, j.timeout_s, j.run_id, j.dependents, j.deps_left

-- name: stuck_jobs
-- Waiting although nothing above them is unfinished: whoever was to lower them has died, or
-- did not see them. Their rows are held for the recount.
SELECT j.id
  FROM headrace.job j
 WHERE j.status = 'waiting'
   AND j.handler IS NULL
   AND NOT j.slot_wanted
   AND j.child_state IS NULL
   AND j.updated_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)
   AND NOT EXISTS (SELECT FROM headrace.run r WHERE r.id = j.run_id AND r.status = 'queued')
   AND NOT EXISTS (SELECT
                     FROM headrace.job_dependency d
                     JOIN headrace.job u ON u.id = d.upstream_id
                    WHERE d.job_id = j.id
                      AND u.status IN ('waiting', 'queued', 'started', 'retrying'))
 ORDER BY j.id
 LIMIT 10000
   FOR UPDATE OF j SKIP LOCKED

-- name: undecided_jobs
-- Waiting for nothing any more, and still waiting: what only Python can decide. Jobs of a run
-- that is held by a concurrency limit wait for the run.
SELECT j.id, j.run_id, j.dependents,
       j.when_expr IS NOT NULL OR j.pool IS NOT NULL AS conditional
  FROM headrace.job j
 WHERE j.status = 'waiting'
   AND j.deps_left = 0
   AND NOT j.slot_wanted
   AND j.child_state IS NULL
   -- Handlers wait for their turn, and are named when it has come.
   AND (j.id = ANY (:ids::uuid[]) OR (:ids::uuid[] IS NULL AND j.handler IS NULL))
   AND NOT EXISTS (SELECT FROM headrace.run r WHERE r.id = j.run_id AND r.status = 'queued')
 ORDER BY j.id
   FOR UPDATE OF j SKIP LOCKED

-- name: conditions
-- The conditions of these jobs with what they may speak of, and what the trigger rules say.
WITH
-- include: verdict_parts
SELECT j.id, j.when_expr, counted.verdict, r.pipeline, r.params, r.logical_date, r.trigger,
       r.plan -> 'param_types' AS param_types, r.plan ->> 'timezone' AS timezone,
       r.plan -> 'empty' AS empty,
       CASE WHEN j.handler IS NOT NULL THEN
-- include: outcome_part
       END AS outcome,
       (SELECT json_object_agg(u.step, json_build_object('status', u.status, 'result', u.result))
          FROM headrace.job u
         WHERE u.run_id = j.run_id
           AND u.status IN ('completed', 'failed', 'cancelled', 'skipped')
           AND NOT (
-- include: maker_part
               )) AS steps
  FROM counted
  JOIN headrace.job j ON j.id = counted.id
  LEFT JOIN headrace.run r ON r.id = j.run_id
 WHERE j.status = 'waiting'

-- name: release_decided
-- What needs a slot of a pool goes on waiting, for that (see `take_slots`), and so does what
-- runs a pipeline (see subpipeline.sql).
UPDATE headrace.job
   SET status = CASE WHEN pool IS NULL AND NOT starts_with(job_class, 'pipeline ')
                     THEN 'queued' ELSE status END,
       slot_wanted = pool IS NOT NULL,
       child_state = CASE WHEN starts_with(job_class, 'pipeline ') THEN 'wanted' END,
       queued_at = CASE WHEN pool IS NULL AND NOT starts_with(job_class, 'pipeline ')
                        THEN clock_timestamp() END,
       updated_at = clock_timestamp()
 WHERE id = ANY (:ids::uuid[])
   AND status = 'waiting'
RETURNING id, status, attempt, queue, timeout_s,
          -- Only what runs a pipeline rings: see bell.py.
          CASE WHEN child_state = 'wanted' THEN pg_notify('headrace_bell', '') END

-- name: fail_undecided
-- Its condition cannot be evaluated, or the pipeline that it runs cannot start.
UPDATE headrace.job
   SET status = 'failed',
       error = :error::text,
       finished_at = clock_timestamp(),
       updated_at = clock_timestamp()
 WHERE id = :id::uuid
   AND status = 'waiting'
RETURNING id, status, run_id, dependents, allow_failure

-- name: skip_jobs
UPDATE headrace.job
   SET status = 'skipped', finished_at = clock_timestamp(), updated_at = clock_timestamp()
 WHERE id = ANY (:ids::uuid[])
   AND status = 'waiting'
RETURNING id, run_id, dependents
