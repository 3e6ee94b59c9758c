-- Listings of queued jobs with a filter: a page is merged from the newest ends of the kinds that
-- match, as with ended jobs (0020). The index by `queued_at` goes: who asked for its order, the sweep
-- for overdue messages, reads all queued jobs all the same, and an entry for each job that is
-- dispatched costs as much as all that a listing saves. Jobs of runs have one more, written when they
-- are queued: a two hundredth of what such a job costs in all.
CREATE INDEX job_queued_kind ON headrace.job (queue, job_class, id) WHERE status = 'queued';
CREATE INDEX job_queued_of_pipeline ON headrace.job (pipeline, queue, job_class, id)
 WHERE status = 'queued' AND pipeline IS NOT NULL;
DROP INDEX headrace.job_queued;

-- A foreign key is a query of its own for each run that is deleted: the two took half of a pruning.
-- It deletes the rows of the runs itself, and those whose run another process has deleted (prune.sql).
ALTER TABLE headrace.triggered DROP CONSTRAINT triggered_upstream_run_fkey;
ALTER TABLE headrace.triggered DROP CONSTRAINT triggered_run_id_fkey;
