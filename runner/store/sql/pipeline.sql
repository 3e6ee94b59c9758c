-- The pipelines that the active daemon runs, to be compared with files.

-- name: keep_pipelines
-- `names` are all active pipelines, `changed` those that were read since the last call. A row with
-- the same content is not written. A daemon whose lease has expired writes nothing, and is told so.
-- `held` are neither active nor removed: their files are broken, and only their rows are left.
WITH lease AS (
    SELECT FROM headrace.leader WHERE term = :term::bigint AND expires_at > clock_timestamp()
), gone AS (
    DELETE FROM headrace.pipeline
     WHERE name <> ALL (:names::text[])
       AND name <> ALL (:held::text[])
       AND EXISTS (SELECT FROM lease)
    RETURNING name
), withdrawn AS (
    INSERT INTO headrace.withdrawn (pipeline)
    SELECT name FROM gone
        ON CONFLICT DO NOTHING
), back AS (
    DELETE FROM headrace.withdrawn
     WHERE pipeline = ANY (:names::text[])
       AND EXISTS (SELECT FROM lease)
), stored AS (
    INSERT INTO headrace.pipeline AS kept (name, version, definition, file, source, built)
    SELECT name, version, definition, file, decode(source, 'base64'), decode(built, 'base64')
      FROM json_to_recordset(:changed::json)
           AS read (name text, version text, definition jsonb, file text, source text,
                     built text)
     WHERE EXISTS (SELECT FROM lease)
        ON CONFLICT (name) DO UPDATE
       SET version = excluded.version,
           definition = excluded.definition,
           file = excluded.file,
           source = excluded.source,
           built = excluded.built,
           loaded_at = clock_timestamp()
     WHERE (kept.version, kept.definition, kept.file)
           IS DISTINCT FROM (excluded.version, excluded.definition, excluded.file)
        OR kept.source IS NULL AND excluded.source IS NOT NULL
        OR kept.built IS DISTINCT FROM excluded.built
)
SELECT EXISTS (SELECT FROM lease) AS leads

-- name: kept_pipelines
SELECT name, version, definition, file, loaded_at FROM headrace.pipeline ORDER BY name

-- name: kept_sources
-- The last good versions of pipelines that no valid file declares now. `source` and `built` are
-- null if an earlier version has written the row.
SELECT name, version, file, source, built
  FROM headrace.pipeline
 WHERE name <> ALL (:names::text[])

-- name: held_back
-- Pipelines whose files were removed while they have queued runs.
SELECT w.pipeline, count(*) AS runs
  FROM headrace.withdrawn w
  JOIN headrace.run r ON r.pipeline = w.pipeline AND r.status = 'queued' AND r.parent_job IS NULL
 GROUP BY w.pipeline
 ORDER BY w.pipeline
