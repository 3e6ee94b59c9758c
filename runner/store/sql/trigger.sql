-- Runs of one pipeline that start runs of another.

-- name: triggers
SELECT pipeline, upstream, statuses, seen_until FROM headrace.trigger ORDER BY pipeline, upstream

-- name: sync_triggers
-- A trigger counts runs from the moment it is first seen; so does a change of the required
-- statuses. A stored time in the future, from before the clock was set back, is set back as well;
-- runs that are used up stay used up.
INSERT INTO headrace.trigger AS known (pipeline, upstream, statuses)
SELECT pipeline, upstream, statuses
  FROM json_to_recordset(:triggers::json)
       AS declared (pipeline text, upstream text, statuses text[])
    ON CONFLICT (pipeline, upstream) DO UPDATE
   SET statuses = excluded.statuses, seen_until = clock_timestamp()
 WHERE known.statuses <> excluded.statuses
    OR known.seen_until > clock_timestamp()

-- name: forget_triggers
-- Removed triggers: what ends before they come back is not made up for.
DELETE FROM headrace.trigger t
 USING json_to_recordset(:triggers::json) AS gone (pipeline text, upstream text)
 WHERE t.pipeline = gone.pipeline
   AND t.upstream = gone.upstream

-- name: unused_part
-- The first runs of each upstream pipeline that have a required status and are not used up.
-- Everything before `seen_until` has been processed, so little is read however long the history is;
-- the planner cannot know that, and the limit makes it use the index.
  FROM headrace.trigger t
 CROSS JOIN LATERAL (SELECT r.*
                       FROM headrace.run r
                      WHERE r.pipeline = t.upstream
                        AND r.finished_at >= t.seen_until
                        AND r.status = ANY (t.statuses)
                        AND NOT EXISTS (SELECT
                                          FROM headrace.triggered u
                                         WHERE u.pipeline = t.pipeline
                                           AND u.upstream_run = r.id)
                      ORDER BY r.finished_at, r.id
                      LIMIT :most::integer) AS r
 WHERE t.pipeline = ANY (:pipelines::text[])

-- name: unused_upstream
SELECT t.pipeline, r.id, r.finished_at
-- include: unused_part

-- name: lock_triggers
-- Until the end of the transaction: only one process at a time decides about a pipeline's upstream
-- runs.
SELECT t.pipeline, t.upstream, coalesce(s.paused, false) AS paused
  FROM headrace.trigger t
  LEFT JOIN headrace.schedule s ON s.pipeline = t.pipeline
 WHERE t.pipeline = ANY (:pipelines::text[])
 ORDER BY t.pipeline, t.upstream
   FOR UPDATE OF t

-- name: visible_until
-- Everything that ended before this moment is visible to the following statements. An open
-- transaction may have recorded an end that it commits later: none of those began before it. A role
-- that may not see the start of another user's transaction assumes a very old one.
SELECT least(clock_timestamp(),
             min(coalesce(xact_start, 'epoch'))) AS visible_until
  FROM pg_stat_activity
 WHERE datname = current_database()
   AND backend_xid IS NOT NULL
   AND pid <> pg_backend_pid()

-- name: unused_upstream_runs
-- The same runs, with the values that templates may use.
SELECT t.pipeline AS waiting, r.id, r.pipeline, r.status, r.trigger, r.finished_at, r.logical_date,
       r.params, r.plan -> 'param_types' AS param_types, r.plan ->> 'timezone' AS timezone
-- include: unused_part

-- name: note_triggered
-- Marks runs as used up. By the primary key each run counts once per pipeline.
INSERT INTO headrace.triggered (pipeline, upstream_run, outcome, run_id, error)
SELECT pipeline, upstream_run, outcome, run_id, error
  FROM json_to_recordset(:used::json)
       AS used (pipeline text, upstream_run uuid, outcome text, run_id uuid, error text)

-- name: note_passed_over
-- Like the instants that a schedule passes over during a pause.
UPDATE headrace.schedule s
   SET skipped = s.skipped + passed.runs, updated_at = clock_timestamp()
  FROM json_to_recordset(:passed::json) AS passed (pipeline text, runs bigint)
 WHERE s.pipeline = passed.pipeline

-- name: advance_triggers
-- Everything before has been processed, except runs that still wait for other pipelines. The minute
-- before that moment allows for a clock that is set back.
UPDATE headrace.trigger t
   SET seen_until = least(:visible_until::timestamptz - interval '1 minute',
                          (done.waiting ->> t.upstream)::timestamptz)
  FROM json_to_recordset(:done::json) AS done (pipeline text, waiting json)
 WHERE t.pipeline = done.pipeline
   AND t.seen_until < least(:visible_until::timestamptz - interval '1 minute',
                            (done.waiting ->> t.upstream)::timestamptz)

-- name: upstream_of_run
-- The runs that have triggered a run, in the order of their ends.
SELECT r.id, r.pipeline, r.status, r.logical_date, r.finished_at
  FROM headrace.triggered t
  JOIN headrace.run r ON r.id = t.upstream_run
 WHERE t.run_id = :id::uuid
 ORDER BY r.finished_at, r.id

-- name: last_triggered
-- The newest upstream runs of each of these pipelines, with the decision about them.
SELECT t.pipeline, t.upstream_run, r.pipeline AS upstream, t.outcome, t.run_id, t.error, t.used_at
  FROM unnest(:pipelines::text[]) AS wanted (name)
 CROSS JOIN LATERAL (SELECT *
                       FROM headrace.triggered
                      WHERE pipeline = wanted.name
                      ORDER BY upstream_run DESC
                      LIMIT :limit::integer) AS t
  JOIN headrace.run r ON r.id = t.upstream_run
 ORDER BY t.pipeline, t.used_at DESC, t.upstream_run DESC
