-- Runs that count together, and how many of them may run at a time. Null: no limit.
ALTER TABLE headrace.run ADD COLUMN concurrency_group text;
ALTER TABLE headrace.run ADD COLUMN concurrency_limit integer;
CREATE INDEX run_group ON headrace.run (concurrency_group, id) WHERE status IN ('queued', 'running');

-- `success`, `failure` or `finally`: the job waits until the run's other jobs have ended.
ALTER TABLE headrace.job ADD COLUMN handler text
      CHECK (handler IN ('success', 'failure', 'finally'));
ALTER TABLE headrace.run ADD COLUMN has_handlers boolean NOT NULL DEFAULT false;

-- What may run at a time of a pool. `slot_wanted`: nothing but a slot is waited for.
ALTER TABLE headrace.job ADD COLUMN pool text;
ALTER TABLE headrace.job ADD COLUMN pool_slots integer;
ALTER TABLE headrace.job ADD COLUMN slot_wanted boolean NOT NULL DEFAULT false;
CREATE INDEX job_slot_held ON headrace.job (pool)
 WHERE pool IS NOT NULL AND status IN ('queued', 'started');
CREATE INDEX job_slot_wanted ON headrace.job (pool, id)
 WHERE pool IS NOT NULL AND status IN ('waiting', 'retrying');
