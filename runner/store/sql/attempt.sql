-- One attempt of a job: claimed, then completed, failed, crashed or given back. Each statement
-- is fenced by the attempt's number, so that whoever lost the job changes no row.

-- name: claimed_columns_part
-- What an attempt needs of its job `j`: the fields of `Claimed` in runner/store/attempts.py.
j.id, j.job_class, j.payload, j.queue, j.attempt, j.retry_count, j.timeout_s, j.retry::text,
j.run_id, j.pipeline, j.step, j.dependents, j.late, j.folder, j.logical_date, j.pool,
j.pool_slots, j.env, j.timezone

-- name: claim_attempt
-- Take a queued job. No row: someone else has it, or the message is an old one, or the job needs
-- a newer worker than this.
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

-- name: ending_part
-- End the attempt. No row: it is somebody else's, or its transaction was ended from inside.
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
       -- NULL: the job has opened no session. What was done after a COMMIT or ROLLBACK inside is
       -- another transaction, or none.
       AND (:xact::text IS NULL OR pg_current_xact_id_if_assigned()::text = :xact)      -- mark
    RETURNING id, run_id, dependents
)

-- name: gate_parts
-- Lower what the dependants wait for, those at zero being queued. The count lives in the
-- dependant's row and is lowered under its lock: two upstream jobs that commit together cannot
-- both believe that the other one is still running. Rows are locked in the order of their ids,
-- so that two completions never wait for each other.
edge AS MATERIALIZED (
    SELECT d.job_id, count(*)::integer AS ended
      FROM done
      JOIN headrace.job_dependency d ON d.upstream_id = done.id
     WHERE done.dependents > 0
     GROUP BY d.job_id
), child AS MATERIALIZED (
    -- One look-up by primary key an edge: joined in the plain way, the planner comes to read
    -- the index of waiting jobs, with an entry for each that ever waited.
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
     -- Of the jobs above only those that have just completed are counted here. Who has failed or
     -- was skipped before has been told to the dependant by `update_dependants`.
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
           -- Indexed: it may change with the status only (see 0001_core.sql).
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
-- For a job that had no dependants when it was claimed: if it has some now, recount them.
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
    RETURNING
-- include: claimed_columns_part
)
SELECT outcome.*, claimed.*
  FROM (SELECT) one
  -- The claim first: dependants are held for as short as can be.
  LEFT JOIN claimed ON true
  LEFT JOIN outcome ON true

-- name: complete_attempt
-- No row: the attempt was reaped or cancelled meanwhile; roll back, the effect too.
WITH
-- include: ending_part
,
-- include: gate_parts
,
-- include: gate_outcome_part
SELECT * FROM outcome

-- name: complete_alone
-- The same for a job without dependants.
WITH
-- include: ending_part
,
-- include: no_gate_part
SELECT * FROM outcome

-- name: complete_and_claim
-- Under load the end of one job and the start of the next share a commit.
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
-- End the attempt without its effect; with `retry_in` seconds it will be tried again.
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
-- End attempts whose worker is gone (`crashed`) or gave them back (`released`). A crash has
-- a budget of its own: the job that spends it has killed its worker and is failed.
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

-- name: too_new
-- A queued job that asks for what only newer workers know.
SELECT needs
  FROM headrace.job
 WHERE id = :id::uuid
   AND attempt = :attempt::integer
   AND status = 'queued'
   AND needs > :can::integer

-- name: give_back_attempt
-- Give an attempt back for a while, without spending a retry: another worker may know the job's
-- class. No row: it is over, or was given back so often that nobody seems to know it.
WITH ended AS (
    UPDATE headrace.job
       SET status = 'retrying',
           next_retry_time = clock_timestamp()
               + make_interval(secs => (:waits_s::float8[])[coalesce(given_back, 0) + 1]),
           given_back = coalesce(given_back, 0) + 1,
           error = :error::text,
           finished_at = clock_timestamp(),
           updated_at = clock_timestamp()
     WHERE id = :id::uuid
       AND attempt = :attempt::integer      -- fencing token
       AND status = 'started'
       AND coalesce(given_back, 0) < cardinality(:waits_s::float8[])
    RETURNING id, attempt, worker, started_at, next_retry_time
), noted AS (
    INSERT INTO headrace.job_attempt (job_id, attempt, outcome, worker, started_at, error)
    SELECT id, attempt, 'released', worker, started_at, :error::text FROM ended
)
SELECT id, next_retry_time FROM ended

-- name: lost_attempts
-- Of these attempts, the ones that somebody else has ended: cancelled, reaped, or begun anew.
-- An attempt that its own worker has just ended is not among them.
SELECT held.id, held.attempt, coalesce(j.status = 'cancelled', false) AS cancelled
  FROM json_to_recordset(:attempts::json) AS held (id uuid, attempt integer)
  LEFT JOIN headrace.job j ON j.id = held.id
 WHERE j.id IS NULL
    OR j.attempt <> held.attempt
    OR j.status IN ('cancelled', 'queued')

-- name: upstream_results
-- What the steps before this one returned, for `{{ steps.NAME.result }}`.
SELECT u.step, u.status, u.result, u.error
  FROM headrace.job j
  JOIN headrace.job u ON u.run_id = j.run_id
 WHERE j.id = :id::uuid
   AND u.status IN ('completed', 'failed', 'cancelled', 'skipped')
   AND NOT (
-- include: maker_part
       )
 -- Of a handler that a retry has made once more, the later one counts.
 ORDER BY u.id

-- name: run_of_attempt
-- What a late template may say about the run.
SELECT r.pipeline, r.params, r.logical_date, r.trigger,
       r.plan -> 'param_types' AS param_types, r.plan ->> 'timezone' AS timezone,
       r.plan -> 'empty' AS empty,
       j.handler,
-- include: ended_run_part
  FROM headrace.job j
  JOIN headrace.run r ON r.id = j.run_id
 WHERE j.id = :id::uuid
