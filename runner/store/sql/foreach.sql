-- A foreach over the results of other steps: one job that creates a job per item. All statements
-- here run in the transaction that completes it, after the completing statement.

-- name: hold_dependants
-- Locks the row of the completed job, so that no dependant is added. Dependants of any status: one
-- that is skipped by now may be reopened, and then waits for the items.
SELECT j.id
  FROM headrace.job_dependency d
  JOIN headrace.job j ON j.id = d.job_id
 WHERE d.upstream_id = :upstream::uuid
 ORDER BY j.id
   FOR UPDATE OF j

-- name: insert_items
-- Except for payload and id, items equal the job that creates them. Items that need a slot of a
-- pool wait only for that, and items that run a pipeline for their runs.
INSERT INTO headrace.job
       (id, job_class, payload, status, queue, timeout_s, retry, run_id, pipeline, step,
        dependents, allow_failure, folder, logical_date, handler, pool, pool_slots, slot_wanted,
        when_expr, child_state, env, needs, timezone, queued_at)
SELECT item.id, :job_class::text, item.payload::jsonb,
       CASE WHEN :pool::text IS NOT NULL OR kind.of_pipeline THEN 'waiting' ELSE 'queued' END,
       maker.queue, maker.timeout_s, maker.retry, maker.run_id, maker.pipeline, item.step,
       :dependents::integer, maker.allow_failure, maker.folder, maker.logical_date,
       maker.handler, :pool::text, :slots::integer, :pool::text IS NOT NULL,
       -- As in `add_jobs`, and as `release_jobs` leaves it.
       CASE WHEN kind.of_pipeline THEN 'true' END,
       CASE WHEN kind.of_pipeline THEN 'wanted' END,
       item.env,
       maker.needs,
       maker.timezone,
       CASE WHEN :pool::text IS NULL AND NOT kind.of_pipeline THEN clock_timestamp() END
  FROM headrace.job maker
 CROSS JOIN (SELECT starts_with(:job_class::text, 'pipeline ')) AS kind (of_pipeline)
 CROSS JOIN json_to_recordset(:items::json) AS item (id uuid, step text, payload text, env jsonb)
 WHERE maker.id = :id::uuid
RETURNING CASE WHEN child_state = 'wanted' THEN pg_notify('headrace_bell', '') END

-- name: hand_over
-- Dependants of the creating job depend on the items instead, and the items on that job. Its own
-- end counts for no trigger rule.
WITH before AS (
    DELETE FROM headrace.job_dependency WHERE upstream_id = :id::uuid
), above AS (
    INSERT INTO headrace.job_dependency (upstream_id, job_id)
    SELECT item, dependant
      FROM unnest(:items::uuid[]) AS item
     CROSS JOIN unnest(:dependants::uuid[]) AS dependant
     UNION ALL
    SELECT :id::uuid, item
      FROM unnest(:items::uuid[]) AS item
), counted AS (
    UPDATE headrace.job
       SET dependents = cardinality(:items::uuid[])
     WHERE id = :id::uuid
)
UPDATE headrace.job
   SET deps_left = greatest(deps_left + cardinality(:items::uuid[]) - 1, 0),
       updated_at = clock_timestamp()
 WHERE id = ANY (:dependants::uuid[])
   AND status = 'waiting'

-- name: maker_part
-- The job `u` has created the jobs of its step's items: their results are the step's results.
u.job_class = 'foreach' AND u.status = 'completed' AND u.result <> '[]'
