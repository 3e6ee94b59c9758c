-- What must hold after every fault. Each row that comes back is a violation: which invariant
-- of docs/guarantees.md, which job or run, and what is wrong.
-- Parameters: transitions (JSON list of [from, to]), crash_budget, settled (nothing runs any more).
WITH legal AS (
    SELECT pair ->> 0 AS old, pair ->> 1 AS new
      FROM json_array_elements(%(transitions)s::json) AS pair
), final (status) AS (
    VALUES ('completed'), ('failed'), ('cancelled'), ('skipped')
), effects AS (
    SELECT job_id, count(*) AS effects FROM public.effect GROUP BY job_id
), reopened AS (
    SELECT DISTINCT job_id FROM audit.job WHERE old IN ('failed', 'cancelled', 'skipped')
), tried AS (
    SELECT job_id, count(*) AS tries, count(*) FILTER (WHERE outcome = 'released') AS releases
      FROM headrace.job_attempt
     GROUP BY job_id
)
SELECT 'I1 at most one effect' AS invariant, job_id AS id, effects || ' effects' AS detail
  FROM effects
 WHERE effects > 1
UNION ALL
SELECT 'I2 completed if and only if the effect is there', j.id,
       j.status || ' with ' || coalesce(e.effects, 0) || ' effects'
  FROM headrace.job j
  LEFT JOIN effects e ON e.job_id = j.id
 WHERE j.job_class LIKE '%%EffectJob'
   AND (j.status = 'completed') <> (coalesce(e.effects, 0) = 1)
UNION ALL
SELECT 'I2 an effect belongs to a job', e.job_id, e.effects || ' effects of no job'
  FROM effects e
 WHERE NOT EXISTS (SELECT FROM headrace.job j WHERE j.id = e.job_id)
UNION ALL
SELECT 'I3 attempts only grow, by one, at a start', job_id,
       format('%%s/%%s -> %%s/%%s', old, old_attempt, new, new_attempt)
  FROM audit.job
 WHERE old IS NOT NULL
   AND new_attempt <> old_attempt + CASE WHEN new = 'started' THEN 1 ELSE 0 END
UNION ALL
SELECT 'I3 no attempt starts twice', job_id, format('attempt %%s started %%s times', new_attempt, count(*))
  FROM audit.job
 WHERE new = 'started'
 GROUP BY job_id, new_attempt
HAVING count(*) > 1
UNION ALL
SELECT 'I4 the effect is of the attempt that completed', j.id,
       format('completed by attempt %%s, effect of attempt %%s', j.attempt, e.attempt)
  FROM headrace.job j
  JOIN public.effect e ON e.job_id = j.id
 WHERE j.status = 'completed'
   AND NOT e.elsewhere
   AND e.attempt <> j.attempt
UNION ALL
SELECT 'I5 no job starts before what it needs', j.id,
       format('%%s, started %%s, its upstream %%s is %%s, finished %%s',
              j.status, j.started_at, u.id, u.status, u.finished_at)
  FROM headrace.job_dependency d
  JOIN headrace.job j ON j.id = d.job_id
  JOIN headrace.job u ON u.id = d.upstream_id
 WHERE j.attempt > 0
   AND j.status NOT IN ('waiting', 'skipped', 'cancelled')
   AND (   (j.trigger_rule = 'all_success'
            AND (NOT (u.status = 'completed' OR (u.status = 'failed' AND u.allow_failure))
                 OR j.started_at < u.finished_at))
        OR (j.trigger_rule = 'all_done'
            AND (u.status NOT IN (SELECT status FROM final) OR j.started_at < u.finished_at))
        OR (j.trigger_rule = 'none_failed'
            AND (NOT (u.status IN ('completed', 'skipped')
                      OR (u.status = 'failed' AND u.allow_failure))
                 OR j.started_at < u.finished_at)))
UNION ALL
SELECT 'I6 what was created is there, as it was last seen', coalesce(j.id, last.job_id),
       format('row %%s, last change %%s', coalesce(j.status, 'gone'), coalesce(last.new, 'none'))
  FROM headrace.job j
  FULL JOIN (SELECT DISTINCT ON (job_id) job_id, new FROM audit.job ORDER BY job_id, id DESC) last
    ON last.job_id = j.id
 WHERE j.status IS DISTINCT FROM last.new
UNION ALL
SELECT 'I7 every job ends', j.id,
       format('%%s %%s, attempt %%s, waits for %%s', j.job_class, j.status, j.attempt, j.deps_left)
  FROM headrace.job j
 WHERE %(settled)s
   AND j.status NOT IN (SELECT status FROM final)
UNION ALL
SELECT 'I7 every run ends', r.id, r.pipeline || ' ' || r.status
  FROM headrace.run r
 WHERE %(settled)s
   AND r.status IN ('queued', 'running')
UNION ALL
SELECT 'I11 attempts stay within the budget', j.id,
       format('%%s attempts, %%s retries, %%s crashes, %%s releases', j.attempt, j.retry_count,
              j.crash_count, coalesce(t.releases, 0))
  FROM headrace.job j
  LEFT JOIN tried t ON t.job_id = j.id
 WHERE j.id NOT IN (SELECT job_id FROM reopened)
   AND (j.crash_count > %(crash_budget)s
        OR j.retry_count > (j.retry ->> 'limit')::integer
        OR j.attempt > 1 + j.retry_count + j.crash_count + coalesce(t.releases, 0))
UNION ALL
SELECT 'I12 every attempt has its record', j.id,
       format('%%s after attempt %%s, %%s earlier ones on record', j.status, j.attempt,
              coalesce(t.tries, 0))
  FROM headrace.job j
  LEFT JOIN tried t ON t.job_id = j.id
 WHERE (j.status = 'completed' AND coalesce(t.tries, 0) <> j.attempt - 1)
    OR (j.status = 'failed' AND coalesce(t.tries, 0) <> j.attempt)
UNION ALL
SELECT 'I12 every history is a legal path', job_id, format('%%s -> %%s', coalesce(old, 'new'), new)
  FROM audit.job
 WHERE (old IS NULL AND new NOT IN ('waiting', 'queued', 'skipped'))
    OR (old IS NOT NULL
        AND (old, new) NOT IN (SELECT old, new FROM legal)
        -- What a person reopens waits first.
        AND NOT (old IN ('failed', 'cancelled', 'skipped') AND new = 'waiting'))
UNION ALL
SELECT 'I13 one run per instant', min(r.id::text)::uuid,
       format('%%s runs of %%s for %%s', count(*), r.pipeline, r.logical_date)
  FROM headrace.run r
 WHERE r.trigger IN ('schedule', 'backfill')
 GROUP BY r.pipeline, r.logical_date
HAVING count(*) > 1
UNION ALL
SELECT 'I14 terms only grow', id, format('term %%s after term %%s', term, before)
  FROM (SELECT id, term, max(term) OVER (ORDER BY created_at
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
          FROM headrace.run
         WHERE term IS NOT NULL) AS runs
 WHERE term < before
UNION ALL
SELECT 'a step ends as the run that it waited for', j.id,
       format('%%s, its run %%s', j.status, coalesce(r.status, 'is missing'))
  FROM headrace.job j
  LEFT JOIN headrace.run r ON r.id = j.child_run
 WHERE %(settled)s
   AND j.child_run IS NOT NULL
   AND j.status IN ('completed', 'failed')
   AND j.id NOT IN (SELECT job_id FROM reopened)
   AND (j.status = 'completed') <> (coalesce(r.status, '') = 'completed')
UNION ALL
SELECT 'one run a start', parent_job, count(*) || ' runs'
  FROM headrace.run
 WHERE parent_job IS NOT NULL
   AND parent_job NOT IN (SELECT job_id FROM reopened)
 GROUP BY parent_job
HAVING count(*) > 1
