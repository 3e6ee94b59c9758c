-- Runs: limits on how many run at a time, and their completion.

-- name: lock_groups
-- Held until the end of the transaction: only one process at a time counts a group's runs. Taken
-- before any row is written, always in the same order.
SELECT pg_advisory_xact_lock(hashtextextended('headrace ' || name, 0))
  FROM (SELECT name FROM unnest(:groups::text[]) AS name ORDER BY name) AS ordered

-- name: open_runs_of_groups
-- Oldest first. Uses the index of open runs.
SELECT concurrency_group, id, status, cancelled_at IS NOT NULL AS ending
  FROM headrace.run
 WHERE status IN ('queued', 'running')
   AND concurrency_group = ANY (:groups::text[])
 ORDER BY id

-- name: admit_runs
-- Decides about runs that were inserted as queued.
UPDATE headrace.run r
   SET status = admitted.status,
       error = admitted.error,
       started_at = CASE WHEN admitted.status = 'running' THEN clock_timestamp() END,
       finished_at = CASE WHEN admitted.status NOT IN ('running', 'queued') THEN clock_timestamp() END,
       updated_at = clock_timestamp()
  FROM json_to_recordset(:runs::json) AS admitted (id uuid, status text, error text)
 WHERE r.id = admitted.id
   AND r.status = 'queued'
RETURNING r.*

-- name: release_runs
-- Starts the first queued runs that fit below their limits; the caller holds the groups' locks.
-- Runs of a pipeline that is paused, or whose file was removed, wait and do not hold up others;
-- but a run that a step waits for continues with the run of that step.
WITH held AS (
    SELECT concurrency_group, count(*) AS runs
      FROM headrace.run
     WHERE status = 'running'
       AND concurrency_group = ANY (:groups::text[])
     GROUP BY concurrency_group
), first AS (
    -- The lowest limit of all earlier runs counts, so that no run overtakes another.
    SELECT id, concurrency_group,
           row_number() OVER in_order AS place,
           min(concurrency_limit) OVER in_order AS most
      FROM headrace.run
     WHERE status = 'queued'
       AND concurrency_group = ANY (:groups::text[])
       AND (parent_job IS NOT NULL
            OR NOT EXISTS (SELECT FROM headrace.schedule s
                            WHERE s.pipeline = run.pipeline AND s.paused)
               AND NOT EXISTS (SELECT FROM headrace.withdrawn w
                                WHERE w.pipeline = run.pipeline))
    WINDOW in_order AS (PARTITION BY concurrency_group ORDER BY id)
)
UPDATE headrace.run r
   SET status = 'running', started_at = clock_timestamp(), updated_at = clock_timestamp()
  FROM first
  LEFT JOIN held ON held.concurrency_group = first.concurrency_group
 WHERE r.id = first.id
   AND r.status = 'queued'
   AND coalesce(held.runs, 0) + first.place <= first.most
RETURNING r.id

-- name: release_roots
-- Queues the first steps of queued runs; those with a condition or a pool are decided next.
UPDATE headrace.job
   SET status = CASE WHEN when_expr IS NULL AND pool IS NULL THEN 'queued' ELSE status END,
       queued_at = CASE WHEN when_expr IS NULL AND pool IS NULL THEN clock_timestamp() END,
       updated_at = clock_timestamp()
 WHERE run_id = ANY (:runs::uuid[])
   AND status = 'waiting'
   AND deps_left = 0
   AND handler IS NULL
RETURNING id, status, attempt, queue, timeout_s

-- name: groups_with_queued_runs
SELECT DISTINCT concurrency_group AS name
  FROM headrace.run
 WHERE status = 'queued'
   AND concurrency_group IS NOT NULL

-- name: outcome_part
-- The outcome of the steps of the run `r`; handlers do not count.
CASE
    WHEN r.cancelled_at IS NOT NULL THEN 'cancelled'
    WHEN EXISTS (SELECT FROM headrace.job o
                  WHERE o.run_id = r.id
                    AND o.handler IS NULL
                    AND o.status = 'failed'
                    AND NOT o.allow_failure)
        THEN 'failed'
    WHEN EXISTS (SELECT FROM headrace.job o
                  WHERE o.run_id = r.id AND o.handler IS NULL AND o.status = 'cancelled')
        THEN 'cancelled'
    ELSE 'completed'
END

-- name: ended_run_part
-- What a handler `j` may use of its run `r`, whose steps have ended.
CASE WHEN j.handler IS NOT NULL THEN
-- include: outcome_part
END AS outcome,
r.id AS run_id,
r.started_at,
CASE WHEN j.handler IS NOT NULL THEN
     extract(epoch FROM clock_timestamp() - r.started_at)::float8
END AS duration_s,
CASE WHEN j.handler IS NOT NULL THEN
     ARRAY(SELECT o.step
             FROM headrace.job o
            WHERE o.run_id = r.id
              AND o.handler IS NULL
              AND o.status = 'failed'
              AND NOT o.allow_failure
            ORDER BY o.id)
END AS failed_steps

-- name: unfinished_part
-- Jobs of the run `r` that have not ended, except handlers whose turn has not come. A handler that
-- waits for a slot or for a run has had its turn.
SELECT
  FROM headrace.job u
 WHERE u.run_id = r.id
   AND u.status IN ('waiting', 'queued', 'started', 'retrying')
   AND (u.handler IS NULL OR u.status <> 'waiting' OR u.slot_wanted
        OR u.child_state IS NOT NULL)

-- name: finish_run
-- Finishes runs that have no unfinished job. A run that is returned as `running` has handlers that
-- must be opened first.
WITH ended AS (
    UPDATE headrace.run r
       SET status = CASE
               WHEN r.cancelled_at IS NOT NULL THEN 'cancelled'
               WHEN EXISTS (SELECT FROM headrace.job
                             WHERE run_id = r.id AND status = 'failed' AND NOT allow_failure)
                   THEN 'failed'
               WHEN EXISTS (SELECT FROM headrace.job
                             WHERE run_id = r.id AND status = 'cancelled')
                   THEN 'cancelled'
               ELSE 'completed'
           END,
           finished_at = clock_timestamp(),
           updated_at = clock_timestamp()
     WHERE r.id = ANY (:ids::uuid[])
       AND r.status = 'running'
       AND NOT EXISTS (SELECT FROM headrace.job
                        WHERE run_id = r.id
                          AND status IN ('waiting', 'queued', 'started', 'retrying'))
    RETURNING r.id, r.pipeline, r.status, r.concurrency_group, r.parent_job,
              -- Only a run that a pipeline waits for notifies the daemon: see listen_notify.py.
              CASE WHEN EXISTS (SELECT FROM headrace.trigger t
                                 WHERE t.upstream = r.pipeline
                                   AND r.status = ANY (t.statuses))
                   THEN pg_notify('headrace_bell', '') END
)
SELECT id, pipeline, status, concurrency_group, parent_job FROM ended
UNION ALL
SELECT r.id, r.pipeline, r.status, r.concurrency_group, r.parent_job
  FROM headrace.run r
 WHERE r.id = ANY (:ids::uuid[])
   AND r.status = 'running'
   AND r.has_handlers
   AND EXISTS (SELECT FROM headrace.job WHERE run_id = r.id AND status = 'waiting')
   AND NOT EXISTS (
-- include: unfinished_part
       )

-- name: lock_run
-- If several processes see the end of a run's last step, only one opens the handlers.
SELECT id FROM headrace.run WHERE id = :id::uuid AND status = 'running' FOR UPDATE

-- name: open_handlers
-- Queues the handlers whose turn it is: first those for the run's outcome, then `finally`; the
-- others of their turn are skipped. Those with a condition or a pool are decided next.
WITH turn AS MATERIALIZED (
    SELECT r.id,
           EXISTS (SELECT FROM headrace.job
                    WHERE run_id = r.id
                      AND status = 'waiting'
                      AND handler IN ('success', 'failure')) AS first,
           CASE
-- include: outcome_part
               WHEN 'completed' THEN 'success'
               WHEN 'failed' THEN 'failure'
           END AS due
      FROM headrace.run r
     WHERE r.id = :id::uuid
       AND NOT EXISTS (
-- include: unfinished_part
           )
)
UPDATE headrace.job j
   SET status = CASE
           WHEN j.handler = 'finally' OR j.handler = turn.due
               THEN CASE WHEN j.when_expr IS NULL AND j.pool IS NULL THEN 'queued'
                         ELSE 'waiting' END
           ELSE 'skipped'
       END,
       skip_reason = CASE WHEN j.handler <> 'finally' AND j.handler IS DISTINCT FROM turn.due
                          THEN 'condition' END,
       queued_at = CASE WHEN (j.handler = 'finally' OR j.handler = turn.due)
                             AND j.when_expr IS NULL AND j.pool IS NULL
                        THEN clock_timestamp() END,
       finished_at = CASE WHEN j.handler <> 'finally' AND j.handler IS DISTINCT FROM turn.due
                          THEN clock_timestamp() END,
       updated_at = clock_timestamp()
  FROM turn
 WHERE j.run_id = turn.id
   AND j.status = 'waiting'
   AND j.handler IS NOT NULL
   AND (j.handler <> 'finally') = turn.first
RETURNING j.id, j.status, j.attempt, j.queue, j.timeout_s

-- name: reopen_handlers
-- After a retry the run ends once more. A completed job is final, so each completed handler is
-- created again, and the later one runs.
WITH again AS (
    INSERT INTO headrace.job
           (id, job_class, payload, status, queue, timeout_s, retry, run_id, pipeline, step, late,
            trigger_rule, when_expr, allow_failure, folder, logical_date, handler, pool,
            pool_slots, env, needs, timezone)
    SELECT copy.id, done.job_class, done.payload, 'waiting', done.queue, done.timeout_s,
           done.retry, done.run_id, done.pipeline, done.step, done.late, done.trigger_rule,
           done.when_expr, done.allow_failure, done.folder, done.logical_date, done.handler,
           done.pool, done.pool_slots, done.env, done.needs, done.timezone
      FROM json_to_recordset(:copies::json) AS copy (of uuid, id uuid)
      JOIN headrace.job done ON done.id = copy.of
)
UPDATE headrace.job
   SET status = 'waiting',
       retry_count = 0,
       crash_count = 0,
       given_back = NULL,
       next_retry_time = NULL,
       finished_at = NULL,
       queued_at = NULL,
       slot_wanted = false,
       child_state = NULL,
       skip_reason = NULL,
       updated_at = clock_timestamp()
 WHERE run_id = ANY (:runs::uuid[])
   AND handler IS NOT NULL
   AND status IN ('failed', 'cancelled', 'skipped')
   AND NOT EXISTS (
-- include: maker_of_item_part
       )

-- name: retire_items
-- Those that the copy of their maker will make anew run no more, be they reopened by themselves.
UPDATE headrace.job
   SET status = 'skipped',
       skip_reason = NULL,
       slot_wanted = false,
       queued_at = NULL,
       finished_at = clock_timestamp(),
       updated_at = clock_timestamp()
 WHERE run_id = ANY (:runs::uuid[])
   AND handler IS NOT NULL
   AND status IN ('waiting', 'queued', 'failed', 'cancelled')
   AND EXISTS (
-- include: maker_of_item_part
       )

-- name: maker_of_item_part
-- The completed handler that has made a job for an item of a result: no other handler waits for one.
SELECT FROM headrace.job_dependency made
  JOIN headrace.job u ON u.id = made.upstream_id
 WHERE made.job_id = job.id
   AND
-- include: maker_part

-- name: completed_handlers
-- The newest job of each completed handler, in the order in which they were made. One that has made
-- jobs for the items of a result makes them again: they wait for it, and no other handler for any.
SELECT id
  FROM headrace.job
 WHERE run_id = ANY (:runs::uuid[])
   AND handler IS NOT NULL
   AND status = 'completed'
   AND NOT EXISTS (SELECT FROM headrace.job_dependency made WHERE made.job_id = job.id)
   AND NOT EXISTS (SELECT FROM headrace.job later
                    WHERE later.run_id = job.run_id
                      AND later.step = job.step
                      AND later.handler = job.handler
                      AND later.id > job.id)
 ORDER BY id
