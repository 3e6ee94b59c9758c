-- The lines that attempts have logged.

-- name: hold_log
-- Where lines were left out, those that went in before are deleted: one writer at a time, each
-- seeing what the one before has written. The worker's parent writes while a job runs, its child
-- at the job's end.
SELECT pg_catalog.pg_advisory_xact_lock(
           pg_catalog.hashtextextended(:id::text || ':' || :attempt::text, 0))
 WHERE :first_left_out::integer IS NOT NULL

-- name: forget_left_out
-- Lines that went in before they were left out.
DELETE FROM headrace.job_log
 WHERE job_id = :id::uuid
   AND attempt = :attempt::integer
   AND line > :first_left_out::integer
   AND line <= :last_left_out::integer

-- name: add_log_lines
-- A line that is there already stays as it is, but for the one that counts what was left out.
INSERT INTO headrace.job_log AS log (job_id, attempt, line, at, level, message)
SELECT :id::uuid, :attempt::integer, entry.line, to_timestamp(entry.at), entry.level, entry.message
  FROM json_to_recordset(:entries::json)
       AS entry (line integer, at float8, level text, message text)
    ON CONFLICT (job_id, attempt, line) DO UPDATE
   SET at = excluded.at, level = excluded.level, message = excluded.message
 WHERE (log.at, log.level, log.message) IS DISTINCT FROM
       (excluded.at, excluded.level, excluded.message)

-- name: add_lines_of_batch
-- The lines of attempts that end in one commit, of which none was left out.
INSERT INTO headrace.job_log AS log (job_id, attempt, line, at, level, message)
SELECT said.job, said.attempt, entry.line, to_timestamp(entry.at), entry.level, entry.message
  FROM json_to_recordset(:said::json) AS said (job uuid, attempt integer, lines json)
 CROSS JOIN LATERAL json_to_recordset(said.lines)
       AS entry (line integer, at float8, level text, message text)
    ON CONFLICT (job_id, attempt, line) DO UPDATE
   SET at = excluded.at, level = excluded.level, message = excluded.message
 WHERE (log.at, log.level, log.message) IS DISTINCT FROM
       (excluded.at, excluded.level, excluded.message)

-- name: may_keep_log
-- While its job runs, an attempt's log is its worker's parent's to write; afterwards only where
-- its child could not. A lock is not worth a wait: what is to be written stays in memory.
SELECT set_config('lock_timeout', '500ms', true)
  FROM headrace.job
 WHERE id = :id::uuid
   AND attempt >= :attempt::integer
   AND (NOT :running::boolean OR (attempt = :attempt::integer AND status = 'started'))
