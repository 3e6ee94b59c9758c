-- Several attempts of one child, each fenced by its own number, closed in one commit; and several
-- queued jobs claimed in the same one. Only jobs without an effect on a database come here: see
-- docs/adr/0010-short-jobs-share-a-commit.md.

-- name: ending_batch_part
-- One look-up by primary key a job, whatever the table's statistics say: `|| ''` keeps the
-- planner from the partial indexes, in which every job that was ever queued has left an entry.
ended AS MATERIALIZED (
    SELECT id, attempt, result
      FROM unnest(:ids::uuid[], :attempts::integer[], :results::text[])
           AS ended (id, attempt, result)
), done AS (
    UPDATE headrace.job j
       SET status = 'completed',
           result = ended.result::jsonb,
           error = NULL,
           traceback = NULL,
           finished_at = clock_timestamp(),
           updated_at = clock_timestamp()
      FROM ended
     WHERE j.id = ended.id
       AND j.attempt = ended.attempt      -- fencing token
       AND j.status || '' = 'started'
    RETURNING j.id, j.run_id, j.dependents
)

-- name: claiming_batch_part
-- What may take long is not claimed to wait behind others: but for the first job only those of
-- classes that are known to be short.
wanted AS MATERIALIZED (
    SELECT id, attempt, place
      FROM unnest(:next_ids::uuid[], :next_attempts::integer[])
           WITH ORDINALITY AS wanted (id, attempt, place)
), claimed AS (
    UPDATE headrace.job j
       SET status = 'started',
           attempt = j.attempt + 1,
           worker = :worker::text,
           started_at = clock_timestamp(),
           finished_at = NULL,
           updated_at = clock_timestamp()
      FROM wanted
     WHERE j.id = wanted.id
       AND j.attempt = wanted.attempt      -- fencing token
       AND j.status || '' = 'queued'
       AND (j.needs IS NULL OR j.needs <= :can::integer)
       AND (wanted.place = 1 OR (j.pool IS NULL AND j.job_class = ANY (:short::text[])))
    RETURNING wanted.place,
-- include: claimed_columns_part
)

-- name: complete_batch
-- The first row tells what the completions have set free; each row may bear a claimed job.
WITH
-- include: ending_batch_part
,
-- include: gate_parts
,
-- include: claiming_batch_part
, closed AS (
    SELECT json_agg(done.id) AS ids,
           (SELECT coalesce(sum(ended), 0) FROM edge) < sum(done.dependents) AS recount,
           (SELECT json_agg(json_build_array(id, attempt, queue, timeout_s) ORDER BY id)
              FROM lowered WHERE status = 'queued') AS released,
           (SELECT json_agg(id) FROM lowered WHERE status = 'waiting' AND deps_left = 0)
               AS undecided
      FROM done
)
SELECT first.ids, first.recount, first.released, first.undecided, claimed.*
  FROM closed
  LEFT JOIN claimed ON true
  -- Read once: with each claimed job they would be read as often as there are jobs.
  LEFT JOIN closed first ON claimed.place IS NOT DISTINCT FROM (SELECT min(place) FROM claimed)
 ORDER BY claimed.place
