-- How far each pipeline's schedule has been dealt with.

-- name: sync_schedules
-- A pipeline seen for the first time owes nothing for the time before.
INSERT INTO headrace.schedule (pipeline, seen_until, next_instant)
SELECT pipeline, :now::timestamptz, next_instant
  FROM json_to_recordset(:schedules::json) AS known (pipeline text, next_instant timestamptz)
    ON CONFLICT (pipeline) DO UPDATE SET next_instant = excluded.next_instant

-- name: lock_schedules
SELECT pipeline, paused, seen_until
  FROM headrace.schedule
 WHERE pipeline = ANY (:pipelines::text[])
 ORDER BY pipeline
   FOR UPDATE

-- name: schedules
SELECT pipeline, paused, seen_until, next_instant, skipped, updated_at
  FROM headrace.schedule
 ORDER BY pipeline

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
INSERT INTO headrace.schedule (pipeline, paused, seen_until)
VALUES (:pipeline::text, true, clock_timestamp())
    ON CONFLICT (pipeline) DO UPDATE SET paused = true, updated_at = clock_timestamp()

-- name: resume_schedule
-- What fell due during the pause is not made up for, nor what ended of upstream pipelines. The
-- triggers come first, as where the leader decides about them.
WITH released AS (
    UPDATE headrace.trigger t
       SET seen_until = clock_timestamp()
      FROM headrace.schedule s
     WHERE t.pipeline = :pipeline::text
       AND s.pipeline = t.pipeline
       AND s.paused
    RETURNING t.upstream
)
INSERT INTO headrace.schedule (pipeline, paused, seen_until)
SELECT :pipeline::text, false, clock_timestamp()
  FROM (SELECT count(*) FROM released) AS first
    ON CONFLICT (pipeline) DO UPDATE
   SET paused = false, seen_until = clock_timestamp(), updated_at = clock_timestamp()
