-- Pools limit how many jobs run at a time. A slot is neither a row nor a counter: the slots in use
-- are the pool's queued and started jobs, so no slot outlives its holder.

-- name: wanted_pools
-- Pools for whose slots jobs are waiting, with the size that the newest of these jobs has.
SELECT DISTINCT ON (pool) pool, pool_slots AS slots
  FROM (SELECT id, pool, pool_slots
          FROM headrace.job
         WHERE status = 'waiting'
           AND slot_wanted
           AND pool IS NOT NULL
         UNION ALL
        SELECT id, pool, pool_slots
          FROM headrace.job
         WHERE status = 'retrying'
           AND next_retry_time <= clock_timestamp()
           AND pool IS NOT NULL) AS wanted
 ORDER BY pool, id DESC

-- name: lock_pool
-- Held until the end of the transaction, which locks rows only afterwards and need not wait for the
-- disk: if it is lost in a crash of the server, the next sweep repeats it.
SELECT set_config('synchronous_commit', 'off', true),
       pg_advisory_xact_lock(hashtextextended('headrace pool ' || :pool::text, 0))

-- name: assign_slots
-- Queues as many jobs as slots are free, oldest first. The caller holds the pool's lock.
WITH free AS MATERIALIZED (
    SELECT greatest(:slots::bigint - count(*), 0) AS slots
      FROM headrace.job
     WHERE pool = :pool::text
       AND status IN ('queued', 'started')
), first AS MATERIALIZED (
    SELECT id
      FROM headrace.job
     WHERE pool = :pool::text
       AND ((status = 'waiting' AND slot_wanted)
            OR (status = 'retrying' AND next_retry_time <= clock_timestamp()))
     ORDER BY id
     LIMIT (SELECT slots FROM free)
)
UPDATE headrace.job j
   SET status = 'queued',
       slot_wanted = false,
       next_retry_time = NULL,
       queued_at = clock_timestamp(),
       updated_at = clock_timestamp()
  FROM first
 WHERE j.id = first.id
   AND ((j.status = 'waiting' AND j.slot_wanted) OR j.status = 'retrying')
RETURNING j.id, j.attempt, j.queue, j.timeout_s
