-- The point in time up to which each pipeline's schedule has been processed.

-- name: sync_schedules
-- An instant that was not declared at its time is not made up for: a pipeline that is new, whose
-- schedule was edited, or whose file is back, owes nothing from before. `:now` is PostgreSQL's
-- clock; a stored time beyond it was written before the clock was set back, and is set back as
-- well. That duplicates nothing: an instant has one run. `held` are not active because their files
-- are broken, and still owe what is due.
WITH known AS (
    SELECT pipeline, next_instant, declared
      FROM json_to_recordset(:schedules::json)
           AS known (pipeline text, next_instant timestamptz, declared text)
), withdrawn AS (
    UPDATE headrace.schedule
       SET declared = '', next_instant = NULL, updated_at = clock_timestamp()
     WHERE declared <> ''
       AND pipeline NOT IN (SELECT pipeline FROM known)
       AND pipeline <> ALL (:held::text[])
)
INSERT INTO headrace.schedule AS s (pipeline, seen_until, next_instant, declared)
SELECT pipeline, :now::timestamptz, next_instant, declared FROM known
    ON CONFLICT (pipeline) DO UPDATE
   SET next_instant = excluded.next_instant,
       declared = excluded.declared,
       seen_until = CASE WHEN s.declared <> excluded.declared OR s.seen_until > :now::timestamptz
                         THEN :now::timestamptz
                         ELSE s.seen_until
                    END

-- name: lock_schedules
SELECT pipeline, paused, seen_until
  FROM headrace.schedule
 WHERE pipeline = ANY (:pipelines::text[])
 ORDER BY pipeline
   FOR UPDATE

-- name: schedules
SELECT pipeline, paused, seen_until, next_instant, skipped, updated_at, declared
  FROM headrace.schedule
 ORDER BY pipeline

-- name: schedules_of
-- The same of some pipelines: one page of ten thousand.
SELECT pipeline, paused, seen_until, next_instant, skipped, updated_at, declared
  FROM headrace.schedule
 WHERE pipeline = ANY (:pipelines::text[])

-- name: advance_schedules
UPDATE headrace.schedule s
   SET seen_until = done.seen_until,
       next_instant = done.next_instant,
       skipped = s.skipped + done.skipped,
       updated_at = clock_timestamp()
  FROM json_to_recordset(:schedules::json)
       AS done (pipeline text, seen_until timestamptz, next_instant timestamptz, skipped bigint)
 WHERE s.pipeline = done.pipeline

-- name: pause_schedule
INSERT INTO headrace.schedule (pipeline, paused, seen_until, declared)
VALUES (:pipeline::text, true, clock_timestamp(), '')
    ON CONFLICT (pipeline) DO UPDATE SET paused = true, updated_at = clock_timestamp()

-- name: resume_schedule
-- Instants that fell due during the pause are not made up for, and neither are ends of upstream
-- pipelines. Triggers are locked first, as in the active daemon's decisions.
WITH released AS (
    UPDATE headrace.trigger t
       SET seen_until = clock_timestamp()
      FROM headrace.schedule s
     WHERE t.pipeline = :pipeline::text
       AND s.pipeline = t.pipeline
       AND s.paused
    RETURNING t.upstream
)
INSERT INTO headrace.schedule (pipeline, paused, seen_until, declared)
SELECT :pipeline::text, false, clock_timestamp(), ''
  FROM (SELECT count(*) FROM released) AS first
    ON CONFLICT (pipeline) DO UPDATE
   SET paused = false, seen_until = clock_timestamp(), updated_at = clock_timestamp()

-- name: queued_runs_of
-- Runs that a pause, or the removal of the file, holds back. A run that a step waits for continues.
SELECT id
  FROM headrace.run
 WHERE status = 'queued'
   AND pipeline = :pipeline::text
   AND parent_job IS NULL
 ORDER BY id
