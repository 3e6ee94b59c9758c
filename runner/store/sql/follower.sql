-- A step of a chain hands on to the next one: completed, claimed, committed and read in one message.

-- name: complete_handing_on_or_refuse
-- The same for a step of a chain: it has to release the one dependant that was known, and no other.
WITH
-- include: ending_part
,
-- include: gate_parts
,
-- include: gate_outcome_part
SELECT 1 / count(*) FILTER (WHERE NOT recount AND undecided IS NULL
                              AND json_array_length(released) = 1
                              AND released -> 0 ->> 0 = :next_id::text)
  FROM outcome

-- name: claim_below_or_refuse
-- Claims that dependant in the same message: it is queued by now, for the transaction itself. Behind
-- COMMIT, `number_and_claimed` reads it.
WITH claimed AS (
    UPDATE headrace.job
       SET status = 'started',
           attempt = attempt + 1,
           worker = :worker::text,
           started_at = clock_timestamp(),
           finished_at = NULL,
           updated_at = clock_timestamp()
     WHERE id = :next_id::uuid
       AND attempt = :next_attempt::integer      -- fencing token
       AND status = 'queued'
       AND queue = ANY (:queues::text[])
       AND (needs IS NULL OR needs <= :can::integer)
    RETURNING id
)
SELECT 1 / count(*) FROM claimed

-- name: number_and_claimed
-- The number of the transaction that begins here, and the job that was claimed just before it. NULLs:
-- it has been cancelled since. Under the job's own search path.
SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text AS number,
-- include: claimed_columns_part
,
-- include: below_part
  FROM (SELECT) one
  LEFT JOIN headrace.job j ON j.id OPERATOR(pg_catalog.=) :next_id::pg_catalog.uuid
                          AND j.attempt OPERATOR(pg_catalog.=) :attempt::pg_catalog.int4
                          AND j.status OPERATOR(pg_catalog.=) 'started'::pg_catalog.text
                          AND j.worker OPERATOR(pg_catalog.=) :worker::pg_catalog.text
