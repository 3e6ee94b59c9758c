-- A step that runs a pipeline. Past the gate its job goes on waiting: `wanted` until a run is
-- started for it, `begun` until that run has ended. `child_run` is the run of its last start.
ALTER TABLE headrace.job ADD COLUMN child_state text CHECK (child_state IN ('wanted', 'begun'));
ALTER TABLE headrace.job ADD COLUMN child_run uuid;
CREATE INDEX job_child ON headrace.job (id)
 WHERE status = 'waiting' AND child_state IS NOT NULL;

-- The job of the step that started the run.
ALTER TABLE headrace.run ADD COLUMN parent_job uuid;
