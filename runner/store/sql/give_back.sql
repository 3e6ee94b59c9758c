-- Jobs that the worker at hand cannot make: they are left to other workers, within bounds.

-- name: too_new
-- Finds a queued job that needs a newer worker.
SELECT needs
  FROM headrace.job
 WHERE id = :id::uuid
   AND attempt = :attempt::integer
   AND status = 'queued'
   AND needs > :can::integer

-- name: give_back_attempt
-- Returns an attempt to the queue, without using a retry: another worker may be able to make the
-- job. Chance decides who takes it next, so a few returns prove nothing while old workers are the
-- majority: what counts is whether a running worker of its queue has other job files than all the
-- workers that have returned the job (they are known by the beginning of the attempt's error).
-- If there is none, the class may still be about to be deployed: `waits_s` of returns are allowed
-- for an unknown class. `most` is the bound for workers that never take the job.
-- No row: the attempt is over, or no worker seems to be able to make the job.
WITH held AS MATERIALIZED (
    SELECT id, queue, worker, coalesce(given_back, 0) AS given_back
      FROM headrace.job
     WHERE id = :id::uuid
       AND attempt = :attempt::integer      -- fencing token
       AND status = 'started'
       FOR UPDATE
), unable AS MATERIALIZED (
    SELECT name, job_files
      FROM headrace.worker
     WHERE name IN (SELECT worker FROM held
                     UNION ALL
                    SELECT a.worker
                      FROM headrace.job_attempt a
                     WHERE a.job_id = :id::uuid
                       AND a.outcome = 'released'
                       AND starts_with(a.error, :prefix::text))
), allowed AS (
    SELECT held.id
      FROM held
     WHERE (:unknown::boolean AND held.given_back < cardinality(:waits_s::float8[]))
        OR (held.given_back < :most::integer
            AND EXISTS (SELECT
                          FROM headrace.worker w
                         WHERE w.status = 'running'
                           AND w.seen_at > clock_timestamp() - interval '15 seconds'
                           AND held.queue = ANY (w.queues)
                           AND NOT EXISTS (SELECT
                                             FROM unable
                                            WHERE unable.name = w.name
                                               OR unable.job_files = w.job_files)))
), ended AS (
    UPDATE headrace.job j
       SET status = 'retrying',
           next_retry_time = clock_timestamp() + make_interval(
               secs => (:waits_s::float8[])[least(coalesce(j.given_back, 0) + 1,
                                                  cardinality(:waits_s::float8[]))]),
           given_back = coalesce(j.given_back, 0) + 1,
           error = :error::text,
           finished_at = clock_timestamp(),
           updated_at = clock_timestamp()
      FROM allowed
     WHERE j.id = allowed.id
    RETURNING j.id, j.attempt, j.worker, j.started_at, j.next_retry_time
), noted AS (
    INSERT INTO headrace.job_attempt (job_id, attempt, outcome, worker, started_at, error)
    SELECT id, attempt, 'released', worker, started_at, :prefix::text || :error::text FROM ended
)
SELECT id, next_retry_time FROM ended
