-- One attempt of a job: claimed, then completed, failed, crashed or given back. Each statement is
-- fenced by the attempt's number: a worker that has lost the job changes no row.

-- name: claimed_columns_part
-- The columns of the job `j` that an attempt needs: the fields of `Claimed` in
-- runner/store/attempts.py.
j.id, j.job_class, j.payload, j.queue, j.attempt, j.retry_count, j.timeout_s, j.retry::pg_catalog.text,
j.run_id, j.pipeline, j.step, j.dependents, j.late, j.folder, j.logical_date, j.pool,
j.pool_slots, j.env, j.timezone

-- name: below_part
-- The only dependant of the job `j`, with the number of its last attempt. Read under a job's own
-- search path, too.
CASE WHEN j.dependents OPERATOR(pg_catalog.=) 1 THEN (
    SELECT pg_catalog.json_build_array(b.id, b.attempt)
      FROM headrace.job_dependency d
      JOIN headrace.job b ON b.id OPERATOR(pg_catalog.=) d.job_id
     WHERE d.upstream_id OPERATOR(pg_catalog.=) j.id
     LIMIT 1) END AS below

-- name: claim_attempt
-- Claims a queued job. No row: another worker has it, the message is outdated, or the job needs a
-- newer worker.
UPDATE headrace.job j
   SET status = 'started',
       attempt = attempt + 1,
       worker = :worker::text,
       started_at = clock_timestamp(),
       finished_at = NULL,
       updated_at = clock_timestamp()
 WHERE id = :id::uuid
   AND attempt = :attempt::integer      -- fencing token
   AND status = 'queued'
   AND (needs IS NULL OR needs <= :can::integer)
RETURNING
-- include: claimed_columns_part
,
-- include: below_part

-- name: ending_part
-- Ends the attempt. No row: it belongs to another worker, or the job has ended its transaction.
done AS (
    UPDATE headrace.job
       SET status = 'completed',
           result = :result::jsonb,
           error = NULL,
           traceback = NULL,
           finished_at = clock_timestamp(),
           updated_at = clock_timestamp()
     WHERE id = :id::uuid
       AND attempt = :attempt::integer      -- fencing token
       AND status = 'started'
       -- NULL: the job has opened no session. After a COMMIT or ROLLBACK by the job, this is
       -- another transaction, or none.
       AND (:xact::text IS NULL OR pg_current_xact_id_if_assigned()::text = :xact)      -- mark
    RETURNING id, run_id, dependents
)

-- name: gate_parts
-- Decrements the counters of the dependants, and queues those that reach zero. The counter is in
-- the dependant's row and changes under its lock, so two upstream jobs that commit at the same time
-- cannot both conclude that the other one is still running. Rows are locked in the order of their
-- ids, so two completions never deadlock.
edge AS MATERIALIZED (
    SELECT d.job_id, count(*)::integer AS ended
      FROM done
      JOIN headrace.job_dependency d ON d.upstream_id = done.id
     WHERE done.dependents > 0
     GROUP BY d.job_id
), child AS MATERIALIZED (
    -- One primary key lookup per edge: with a plain join, the planner ends up reading the index
    -- of waiting jobs, which has an entry for each job that ever waited.
    SELECT held.id, wanted.ended,
           NOT upstream.conditional AND
-- include: trigger_rule_part
           = 'queued' AS released
      FROM (SELECT job_id, ended FROM edge ORDER BY job_id) wanted
     CROSS JOIN LATERAL (SELECT id, status, trigger_rule, when_expr, pool, deps_left,
                                upstream_skipped
                           FROM headrace.job
                          WHERE id = wanted.job_id
                            FOR UPDATE) held
     -- Only upstream jobs that have just completed are counted here. Those that failed or were
     -- skipped before are already in the dependant's counters (`update_dependants`).
     CROSS JOIN LATERAL (SELECT held.trigger_rule,
                                held.when_expr IS NOT NULL OR held.pool IS NOT NULL AS conditional,
                                held.deps_left - wanted.ended AS unfinished,
                                wanted.ended AS completed,
                                0 AS failed,
                                0 AS blocked,
                                held.upstream_skipped::integer AS skipped) upstream
     WHERE held.status = 'waiting'
), lowered AS (
    UPDATE headrace.job j
       SET deps_left = j.deps_left - child.ended,
           -- With a condition or a pool it stays undecided: see `decide` in engine/gating/gate.py.
           status = CASE WHEN child.released THEN 'queued' ELSE j.status END,
           -- Indexed, so it may change only together with the status (see 0001_core.sql).
           queued_at = CASE WHEN child.released THEN clock_timestamp() ELSE j.queued_at END,
           updated_at = clock_timestamp()
      FROM child      -- held, and waiting: its status is not asked again, for the same reason
     WHERE j.id = child.id
    RETURNING j.id, j.queue, j.attempt, j.timeout_s, j.status, j.deps_left
)

-- name: gate_outcome_part
outcome AS (
    SELECT done.id AS ended_id,
           done.run_id AS ended_run,
           done.dependents AS ended_dependents,
           (SELECT count(*) FROM edge) < done.dependents AS recount,
           (SELECT json_agg(json_build_array(id, attempt, queue, timeout_s) ORDER BY id)
              FROM lowered WHERE status = 'queued') AS released,
           (SELECT json_agg(id) FROM lowered WHERE status = 'waiting' AND deps_left = 0)
               AS undecided
      FROM done
)

-- name: no_gate_part
-- For a job without dependants at its claim: returns whether it has some now, to be recounted.
outcome AS (
    SELECT id AS ended_id, run_id AS ended_run, dependents AS ended_dependents,
           dependents > 0 AS recount,
           NULL::json AS released, NULL::json AS undecided
      FROM done
)

-- name: claiming_part
claimed AS (
    UPDATE headrace.job j
       SET status = 'started',
           attempt = attempt + 1,
           worker = :worker::text,
           started_at = clock_timestamp(),
           finished_at = NULL,
           updated_at = clock_timestamp()
     WHERE id = :next_id::uuid
       AND attempt = :next_attempt::integer      -- fencing token
       AND status = 'queued'
       AND (needs IS NULL OR needs <= :can::integer)
       -- As above: where the job has ended its transaction, nothing is claimed by the way.
       AND (:xact::text IS NULL OR pg_current_xact_id_if_assigned()::text = :xact)      -- mark
    RETURNING
-- include: claimed_columns_part
)
SELECT outcome.*, claimed.*
  FROM (SELECT) one
  -- The claim comes first, to keep the locks on dependants short.
  LEFT JOIN claimed ON true
  LEFT JOIN outcome ON true

-- name: complete_attempt
-- No row: the attempt was reaped or cancelled in the meantime; the caller rolls back, including
-- the job's effect.
WITH
-- include: ending_part
,
-- include: gate_parts
,
-- include: gate_outcome_part
SELECT * FROM outcome

-- name: complete_alone
-- The same, for a job without dependants.
WITH
-- include: ending_part
,
-- include: no_gate_part
SELECT * FROM outcome

-- name: complete_or_refuse
-- The same in one message with COMMIT. Where it has ended nothing, or dependants have come since the
-- claim, the division fails, and COMMIT is not reached.
WITH
-- include: ending_part
SELECT 1 / count(*) FILTER (WHERE dependents = 0) FROM done

-- name: complete_below_or_refuse
-- The same for a job with dependants: where its end releases one, or leaves one to be decided or
-- counted again, the caller has to know which.
WITH
-- include: ending_part
,
-- include: gate_parts
,
-- include: gate_outcome_part
SELECT 1 / count(*) FILTER (WHERE NOT recount AND released IS NULL AND undecided IS NULL)
  FROM outcome

-- name: complete_and_claim
-- Under load, the completion of one job and the claim of the next share a commit.
WITH
-- include: ending_part
,
-- include: gate_parts
,
-- include: gate_outcome_part
,
-- include: claiming_part

-- name: complete_alone_and_claim
WITH
-- include: ending_part
,
-- include: no_gate_part
,
-- include: claiming_part

-- name: fail_attempt
-- Ends the attempt without its effect; with `retry_in` (seconds) the job is retried.
WITH ended AS (
    UPDATE headrace.job
       SET status = CASE WHEN :retry_in::float8 IS NULL THEN 'failed' ELSE 'retrying' END,
           retry_count = retry_count + CASE WHEN :retry_in::float8 IS NULL THEN 0 ELSE 1 END,
           next_retry_time = clock_timestamp() + make_interval(secs => :retry_in::float8),
           error = :error::text,
           traceback = :traceback::text,
           finished_at = clock_timestamp(),
           updated_at = clock_timestamp()
     WHERE id = :id::uuid
       AND attempt = :attempt::integer      -- fencing token
       AND status = 'started'
    RETURNING id, attempt, worker, started_at, status, run_id, dependents, allow_failure
), noted AS (
    INSERT INTO headrace.job_attempt
           (job_id, attempt, outcome, worker, started_at, error, traceback)
    SELECT id, attempt, :outcome::text, worker, started_at, :error::text, :traceback::text
      FROM ended
)
SELECT id, status, run_id, dependents, allow_failure FROM ended

-- name: lose_attempts
-- Ends attempts whose worker is gone (`crashed`) or returned them (`released`). Crashes have a
-- budget of their own: a job that exceeds it keeps killing its workers, and is failed.
WITH gone AS (
    SELECT id, attempt
      FROM json_to_recordset(:attempts::json) AS gone (id uuid, attempt integer)
), ended AS (
    UPDATE headrace.job j
       SET status = CASE WHEN :outcome::text = 'crashed' AND j.crash_count + 1 >= :crash_budget::integer
                         THEN 'failed' ELSE 'queued' END,
           crash_count = j.crash_count
                       + CASE WHEN :outcome::text = 'crashed' THEN 1 ELSE 0 END,
           error = CASE WHEN :outcome::text = 'crashed' THEN :error::text ELSE j.error END,
           queued_at = clock_timestamp(),
           finished_at = clock_timestamp(),
           updated_at = clock_timestamp()
      FROM gone
     WHERE j.id = gone.id
       AND j.attempt = gone.attempt      -- fencing token
       AND j.status = 'started'
    RETURNING j.id, j.attempt, j.worker, j.started_at, j.status, j.queue, j.timeout_s,
              j.run_id, j.dependents, j.allow_failure
), noted AS (
    INSERT INTO headrace.job_attempt (job_id, attempt, outcome, worker, started_at, error)
    SELECT id, attempt, :outcome::text, worker, started_at, :error::text FROM ended
)
SELECT id, attempt, status, queue, timeout_s, run_id, dependents, allow_failure FROM ended

-- name: lost_attempts
-- Those of the given attempts that were ended from outside: cancelled, reaped or restarted.
-- An attempt that its own worker has just ended is not included.
SELECT held.id, held.attempt, coalesce(j.status = 'cancelled', false) AS cancelled
  FROM json_to_recordset(:attempts::json) AS held (id uuid, attempt integer)
  LEFT JOIN headrace.job j ON j.id = held.id
 WHERE j.id IS NULL
    OR j.attempt <> held.attempt
    OR j.status IN ('cancelled', 'queued')

-- name: upstream_results
-- The results of earlier steps, for `{{ steps.NAME.result }}`.
SELECT u.step, u.status, u.result, u.error
  FROM headrace.job j
  JOIN headrace.job u ON u.run_id = j.run_id
 WHERE j.id = :id::uuid
   AND u.status IN ('completed', 'failed', 'cancelled', 'skipped')
   AND NOT (
-- include: maker_part
       )
 -- If a retry has created a handler again, the later one counts.
 ORDER BY u.id

-- name: run_of_attempt
-- What a deferred template may use of the run.
SELECT r.pipeline, r.params, r.logical_date, r.trigger,
       r.plan -> 'param_types' AS param_types, r.plan ->> 'timezone' AS timezone,
       r.plan -> 'empty' AS empty,
       j.handler,
-- include: ended_run_part
  FROM headrace.job j
  JOIN headrace.run r ON r.id = j.run_id
 WHERE j.id = :id::uuid
