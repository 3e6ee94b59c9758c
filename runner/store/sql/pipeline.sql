-- What the leading daemon runs, for whoever wants to compare it with a file.

-- name: keep_pipelines
-- `names` are all that are in force, `changed` those that were read since the last time. A row
-- that says the same already is not written. A daemon whose term is over writes nothing.
WITH lease AS (
    SELECT FROM headrace.leader WHERE term = :term::bigint AND expires_at > clock_timestamp()
), gone AS (
    UPDATE headrace.pipeline
       SET removed_at = clock_timestamp()
     WHERE name <> ALL (:names::text[])
       AND removed_at IS NULL
       AND EXISTS (SELECT FROM lease)
)
INSERT INTO headrace.pipeline AS kept (name, version, definition, file)
SELECT name, version, definition, file
  FROM json_to_recordset(:changed::json)
       AS read (name text, version text, definition jsonb, file text)
 WHERE EXISTS (SELECT FROM lease)
    ON CONFLICT (name) DO UPDATE
   SET version = excluded.version,
       definition = excluded.definition,
       file = excluded.file,
       loaded_at = clock_timestamp(),
       removed_at = NULL
 WHERE (kept.version, kept.definition, kept.file, kept.removed_at)
       IS DISTINCT FROM (excluded.version, excluded.definition, excluded.file, NULL)

-- name: kept_pipelines
SELECT name, version, definition, file, loaded_at
  FROM headrace.pipeline
 WHERE removed_at IS NULL
 ORDER BY name

-- name: held_back
-- Pipelines whose files were removed while runs of theirs are queued.
SELECT p.name, count(*) AS runs
  FROM headrace.pipeline p
  JOIN headrace.run r ON r.pipeline = p.name AND r.status = 'queued' AND r.parent_job IS NULL
 WHERE p.removed_at IS NOT NULL
 GROUP BY p.name
 ORDER BY p.name
