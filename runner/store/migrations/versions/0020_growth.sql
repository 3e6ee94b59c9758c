-- Listings with a filter, newest first. Only ended jobs and runs are in these indexes: each costs
-- one entry at the end, none at the start and none at the claim. What has not ended is in the
-- partial indexes of its status. The filters' columns lead and the id comes last, so that a page is
-- merged from the newest ends of the few kinds (class, queue, status) that match: see read.sql.
CREATE INDEX job_kind ON headrace.job (job_class, queue, status, id)
 WHERE status IN ('completed', 'failed', 'cancelled', 'skipped');
CREATE INDEX job_kind_of_pipeline ON headrace.job (pipeline, job_class, queue, status, id)
 WHERE pipeline IS NOT NULL AND status IN ('completed', 'failed', 'cancelled', 'skipped');
CREATE INDEX run_status ON headrace.run (status, id)
 WHERE status IN ('completed', 'failed', 'cancelled', 'skipped');
CREATE INDEX run_pipeline_status ON headrace.run (pipeline, status, id)
 WHERE status IN ('completed', 'failed', 'cancelled', 'skipped');

-- A foreign key is a query of its own for each row that is inserted or deleted: half of what the
-- deletion of a run cost, and a tenth of what the insertion of its jobs did. Jobs are inserted in the
-- transaction that inserts their run, attempts by the statement that ends them, and both are deleted
-- by the statement that deletes what they belong to (prune.sql).
ALTER TABLE headrace.job DROP CONSTRAINT job_run_id_fkey;
ALTER TABLE headrace.job_attempt DROP CONSTRAINT job_attempt_job_id_fkey;

-- The steps of runs, once for all runs that were planned alike. A run keeps the few values of its
-- plan that templates need in its own row (`run.plan`), where workers of earlier versions read them
-- too; the arguments of its jobs are in the jobs' rows.
CREATE TABLE headrace.plan (
    id       uuid PRIMARY KEY,
    steps    jsonb NOT NULL,
    made_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE headrace.run ADD COLUMN plan_id uuid REFERENCES headrace.plan;
-- For the deletion of plans that no run refers to.
CREATE INDEX run_plan ON headrace.run (plan_id) WHERE plan_id IS NOT NULL;

COMMENT ON TABLE headrace.plan IS 'The steps of runs, once for all runs that were planned alike.';
COMMENT ON COLUMN headrace.plan.id IS 'A digest of the steps.';
COMMENT ON COLUMN headrace.run.plan IS 'What templates of its jobs need: time zone, folder, types of params. Runs of earlier versions have their steps here, too.';
COMMENT ON COLUMN headrace.run.plan_id IS 'Its steps as they were planned, in headrace.plan; null for runs of earlier versions.';
