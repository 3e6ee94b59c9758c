-- Closes several attempts of one child in one commit, each fenced by its own number, and claims
-- several queued jobs in the same commit. Only for jobs without an effect on a database: see
-- docs/adr/0010-short-jobs-share-a-commit.md.

-- name: ending_batch_part
-- One primary key lookup per job, whatever the table's statistics are: `|| ''` keeps the planner
-- away from the partial indexes, which have an entry for every job that was ever queued.
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
-- Jobs that may take long are not claimed to wait behind others: except for the first job, only
-- classes known to be short are claimed.
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

-- name: claim_several
-- Claims jobs ahead, of a child whose jobs are brief and work on databases: each is completed by
-- itself. Place 1 begins at once.
WITH
-- include: claiming_batch_part
SELECT * FROM claimed ORDER BY place

-- name: released_by_batch_part
SELECT json_agg(done.id) AS ids,
       (SELECT coalesce(sum(ended), 0) FROM edge) < sum(done.dependents) AS recount,
       (SELECT json_agg(json_build_array(id, attempt, queue, timeout_s) ORDER BY id)
          FROM lowered WHERE status = 'queued') AS released,
       (SELECT json_agg(id) FROM lowered WHERE status = 'waiting' AND deps_left = 0) AS undecided,
       -- Of which nothing may be left now.
       json_agg(DISTINCT done.run_id) FILTER (WHERE done.dependents = 0) AS runs
  FROM done

-- name: look_up_by_key
-- For the rest of the transaction: by the statistics of a table that was empty a moment ago, reading
-- all of it looks cheap.
SELECT set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)

-- name: complete_ended
-- What a child has ended and not yet recorded, completed by its worker's parent while another job
-- of the child's takes long, or when the child has died.
WITH
-- include: ending_batch_part
,
-- include: gate_parts
-- include: released_by_batch_part

-- name: complete_batch
-- The first row lists what the completions have released; each row may contain a claimed job.
WITH
-- include: ending_batch_part
,
-- include: gate_parts
,
-- include: claiming_batch_part
, closed AS (
-- include: released_by_batch_part
)
SELECT first.ids, first.recount, first.released, first.undecided, claimed.*
  FROM closed
  LEFT JOIN claimed ON true
  -- Read once; joined to the claimed jobs they would be read once per job.
  LEFT JOIN closed first ON claimed.place IS NOT DISTINCT FROM (SELECT min(place) FROM claimed)
 ORDER BY claimed.place
