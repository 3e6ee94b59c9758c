-- The gate: decides about waiting jobs when an upstream job ends without success, and in the few
-- cases that the completing statement leaves undecided.

-- name: trigger_rule_part
-- The verdict of a trigger rule on a job: `queued`, `waiting`, or the reason for which it is
-- skipped. It depends on how many upstream jobs are unfinished, have completed, have failed, were
-- skipped after a failure (`blocked`) or were skipped without one. This is the only place that
-- spells the rules out, one per line; the migration takes their names from here. With a condition
-- or a pool, all upstream jobs must have ended before the job is queued. A verdict reached while
-- some are unfinished holds however those end. A job with `always` has no upstream jobs: the
-- declaration is read that way.
CASE upstream.trigger_rule
    WHEN 'all_success' THEN CASE WHEN failed + blocked > 0 THEN 'upstream_failed' WHEN unfinished > 0 THEN 'waiting' WHEN skipped > 0 THEN 'condition' ELSE 'queued' END
    WHEN 'all_failed' THEN CASE WHEN unfinished > 0 THEN 'waiting' WHEN completed + skipped > 0 THEN 'condition' ELSE 'queued' END
    WHEN 'all_done' THEN CASE WHEN unfinished > 0 THEN 'waiting' ELSE 'queued' END
    WHEN 'one_success' THEN CASE WHEN (unfinished = 0 OR NOT conditional) AND completed > 0 THEN 'queued' WHEN unfinished > 0 THEN 'waiting' WHEN failed + blocked > 0 THEN 'upstream_failed' WHEN skipped > 0 THEN 'condition' ELSE 'queued' END
    WHEN 'one_failed' THEN CASE WHEN (unfinished = 0 OR NOT conditional) AND failed + blocked > 0 THEN 'queued' WHEN unfinished > 0 THEN 'waiting' WHEN completed + skipped > 0 THEN 'condition' ELSE 'queued' END
    WHEN 'one_done' THEN CASE WHEN (unfinished = 0 OR NOT conditional) AND completed + failed > 0 THEN 'queued' WHEN unfinished > 0 THEN 'waiting' WHEN blocked > 0 THEN 'upstream_failed' WHEN skipped > 0 THEN 'condition' ELSE 'queued' END
    WHEN 'none_failed' THEN CASE WHEN failed + blocked > 0 THEN 'upstream_failed' WHEN unfinished > 0 THEN 'waiting' ELSE 'queued' END
    WHEN 'none_failed_min_one_success' THEN CASE WHEN failed + blocked > 0 THEN 'upstream_failed' WHEN unfinished > 0 THEN 'waiting' WHEN completed = 0 AND skipped > 0 THEN 'condition' ELSE 'queued' END
    WHEN 'always' THEN 'queued'
END

-- name: upstream_counts_part
-- Counts the upstream jobs `u` by their end. An allowed failure counts as a completion.
count(*) FILTER (WHERE u.status IN ('waiting', 'queued', 'started', 'retrying')) AS unfinished,
count(*) FILTER (WHERE u.status = 'completed'
                    OR (u.status = 'failed' AND u.allow_failure)) AS completed,
count(*) FILTER (WHERE u.status = 'cancelled'
                    OR (u.status = 'failed' AND NOT u.allow_failure)) AS failed,
count(*) FILTER (WHERE u.status = 'skipped' AND u.skip_reason = 'upstream_failed') AS blocked,
count(*) FILTER (WHERE u.status = 'skipped'
                   AND u.skip_reason IS DISTINCT FROM 'upstream_failed') AS skipped

-- name: update_dependants
-- Several upstream jobs have ended, not all of them successfully. Dependants that are skipped as a
-- consequence are returned as well: their own dependants come next. Jobs that ended before are
-- counted again only when no upstream job is unfinished.
WITH edge AS MATERIALIZED (
    SELECT d.job_id, count(*)::integer AS ended,
-- include: upstream_counts_part
      FROM headrace.job_dependency d
      JOIN headrace.job u ON u.id = d.upstream_id
     WHERE d.upstream_id = ANY (:upstream::uuid[])
     GROUP BY d.job_id
), child AS MATERIALIZED (
    SELECT j.id, j.trigger_rule, j.deps_left,
           j.when_expr IS NOT NULL OR j.pool IS NOT NULL AS conditional
      FROM edge
      JOIN headrace.job j ON j.id = edge.job_id
     WHERE j.status = 'waiting'
     ORDER BY j.id
       FOR UPDATE OF j
), upstream AS (
    SELECT child.id, child.trigger_rule, child.conditional, edge.ended,
           greatest(child.deps_left - edge.ended, 0) AS unfinished,
           coalesce(whole.completed, edge.completed) AS completed,
           coalesce(whole.failed, edge.failed) AS failed,
           coalesce(whole.blocked, edge.blocked) AS blocked,
           coalesce(whole.skipped, edge.skipped) AS skipped
      FROM child
      JOIN edge ON edge.job_id = child.id
      LEFT JOIN LATERAL (
           SELECT
-- include: upstream_counts_part
             FROM headrace.job_dependency d
             JOIN headrace.job u ON u.id = d.upstream_id
            WHERE d.job_id = child.id) whole ON child.deps_left <= edge.ended
), judged AS (
    SELECT id, ended, conditional, skipped,
-- include: trigger_rule_part
           AS verdict
      FROM upstream
)
UPDATE headrace.job j
   SET deps_left = greatest(j.deps_left - judged.ended, 0),
       status = CASE WHEN verdict IN ('upstream_failed', 'condition') THEN 'skipped'
                     WHEN conditional THEN 'waiting'
                     ELSE verdict END,
       skip_reason = CASE WHEN verdict IN ('upstream_failed', 'condition') THEN verdict END,
       upstream_skipped = j.upstream_skipped OR judged.skipped > 0,
       queued_at = CASE WHEN verdict = 'queued' AND NOT conditional THEN clock_timestamp() END,
       updated_at = clock_timestamp()
  FROM judged
 WHERE j.id = judged.id
   AND j.status = 'waiting'
RETURNING j.id, j.status, j.attempt, j.queue, j.timeout_s, j.run_id, j.dependents, j.deps_left

-- name: mark_skipped_finished
-- A skipped job never started: it has only an end time.
UPDATE headrace.job
   SET finished_at = clock_timestamp(), queued_at = NULL
 WHERE id = ANY (:ids::uuid[])
   AND status = 'skipped'

-- name: lock_dependants
-- First half of a recount: locks the waiting dependants, so that no counter changes meanwhile.
SELECT j.id
  FROM headrace.job_dependency d
  JOIN headrace.job j ON j.id = d.job_id
 WHERE d.upstream_id = :upstream::uuid
   AND j.status = 'waiting'
 ORDER BY j.id
   FOR UPDATE OF j

-- name: verdict_parts
-- The verdicts of the trigger rules on these jobs, from the actual states of their upstream jobs.
counts AS (
    SELECT d.job_id,
-- include: upstream_counts_part
      FROM headrace.job_dependency d
      JOIN headrace.job u ON u.id = d.upstream_id
     WHERE d.job_id = ANY (:ids::uuid[])
     GROUP BY d.job_id
), upstream AS (
    SELECT j.id, j.trigger_rule,
           j.when_expr IS NOT NULL OR j.pool IS NOT NULL AS conditional,
           coalesce(unfinished, 0) AS unfinished, coalesce(completed, 0) AS completed,
           coalesce(failed, 0) AS failed, coalesce(blocked, 0) AS blocked,
           coalesce(skipped, 0) AS skipped
      FROM headrace.job j
      LEFT JOIN counts ON counts.job_id = j.id
     WHERE j.id = ANY (:ids::uuid[])
), counted AS (
    SELECT id, conditional, unfinished, skipped,
-- include: trigger_rule_part
           AS verdict
      FROM upstream
)

-- name: recount_waiting
-- Second half, a separate statement for a fresh snapshot: decides by the actual states of the
-- upstream jobs, whatever the counters say.
WITH
-- include: verdict_parts
UPDATE headrace.job j
   SET deps_left = unfinished,
       status = CASE WHEN verdict IN ('upstream_failed', 'condition') THEN 'skipped'
                     WHEN conditional THEN 'waiting'
                     ELSE verdict END,
       skip_reason = CASE WHEN verdict IN ('upstream_failed', 'condition') THEN verdict END,
       upstream_skipped = counted.skipped > 0,
       queued_at = CASE WHEN verdict = 'queued' AND NOT conditional THEN clock_timestamp() END,
       updated_at = clock_timestamp()
  FROM counted
 WHERE j.id = counted.id
   AND j.status = 'waiting'
   AND j.handler IS NULL
RETURNING j.id, j.status, j.attempt, j.queue, j.timeout_s, j.run_id, j.dependents, j.deps_left

-- name: stuck_jobs
-- Jobs that wait although no upstream job is unfinished: the process that should have decremented
-- their counters has died, or did not see them. Their rows are locked for the recount.
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
-- Jobs that wait although their counters are at zero: only Python can decide them. Jobs of a run
-- that a concurrency limit holds back wait for the run.
SELECT j.id
  FROM headrace.job j
 WHERE j.status = 'waiting'
   AND j.deps_left = 0
   AND NOT j.slot_wanted
   AND j.child_state IS NULL
   -- Handlers wait for their turn, and are passed by id when it comes.
   AND (j.id = ANY (:ids::uuid[]) OR (:ids::uuid[] IS NULL AND j.handler IS NULL))
   AND NOT EXISTS (SELECT FROM headrace.run r WHERE r.id = j.run_id AND r.status = 'queued')
 ORDER BY j.id
   FOR UPDATE OF j SKIP LOCKED

-- name: conditions
-- The conditions of these jobs, the values that they may use, and the trigger rules' verdicts.
WITH
-- include: verdict_parts
SELECT j.id, j.when_expr, counted.verdict, r.pipeline, r.params, r.logical_date, r.trigger,
       r.plan -> 'param_types' AS param_types, r.plan ->> 'timezone' AS timezone,
       r.plan -> 'empty' AS empty,
-- include: ended_run_part
       ,
       (SELECT json_object_agg(u.step, json_build_object('status', u.status, 'result', u.result,
                                                         'error', u.error) ORDER BY u.id)
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

-- name: release_jobs
-- A job that needs a slot of a pool continues to wait, for the slot (see `assign_slots`), and so
-- does a job that runs a pipeline (see subpipeline.sql).
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
          -- Only jobs that run a pipeline notify the daemon: see listen_notify.py.
          CASE WHEN child_state = 'wanted' THEN pg_notify('headrace_bell', '') END

-- name: fail_undecided
-- The job's condition cannot be evaluated, or the pipeline that it runs cannot be started.
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
   SET status = 'skipped', skip_reason = :reason::text, finished_at = clock_timestamp(), updated_at = clock_timestamp()
 WHERE id = ANY (:ids::uuid[])
   AND status = 'waiting'
RETURNING id, run_id, dependents
