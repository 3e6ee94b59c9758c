-- Python imports a file once: a worker that runs goes on with the job files that it has loaded.
ALTER TABLE headrace.worker ADD COLUMN job_files text;

-- What a caller gave so that a repeated request makes no second run.
ALTER TABLE headrace.run ADD COLUMN idempotency_key text;
CREATE UNIQUE INDEX run_idempotency ON headrace.run (pipeline, idempotency_key)
 WHERE idempotency_key IS NOT NULL;

COMMENT ON SCHEMA headrace IS 'Headrace: pipelines, runs and jobs. Read it freely; change it through headrace''s commands.';

COMMENT ON TABLE headrace.job IS 'One dispatched unit of work: a step of a run, or a job by itself.';
COMMENT ON COLUMN headrace.job.id IS 'UUID version 7: it begins with the time of its making.';
COMMENT ON COLUMN headrace.job.job_class IS 'A class in jobs/, or a dotted path.';
COMMENT ON COLUMN headrace.job.payload IS 'The arguments, as `with` has them.';
COMMENT ON COLUMN headrace.job.status IS 'waiting, queued, started, retrying; final: completed, failed, cancelled, skipped.';
COMMENT ON COLUMN headrace.job.result IS 'What handle() returned; null before completion.';
COMMENT ON COLUMN headrace.job.error IS 'Why the last attempt failed, or why the job never ran.';
COMMENT ON COLUMN headrace.job.retry_count IS 'How many failures the retry budget was spent on.';
COMMENT ON COLUMN headrace.job.next_retry_time IS 'When a retrying job is queued again.';
COMMENT ON COLUMN headrace.job.queue IS 'Where its message is sent: high, medium, low by default.';
COMMENT ON COLUMN headrace.job.run_id IS 'The run that it belongs to; null for a job by itself.';
COMMENT ON COLUMN headrace.job.step IS 'The step''s id; items of a foreach as step[0], step[1].';
COMMENT ON COLUMN headrace.job.attempt IS 'The number of the newest try, which fences the earlier ones.';
COMMENT ON COLUMN headrace.job.crash_count IS 'How often a worker has died of it; a budget of its own.';
COMMENT ON COLUMN headrace.job.timeout_s IS 'How long one attempt may take, in seconds.';
COMMENT ON COLUMN headrace.job.retry IS 'The retry policy.';
COMMENT ON COLUMN headrace.job.trigger_rule IS 'Which ends of the upstream jobs let it start.';
COMMENT ON COLUMN headrace.job.deps_left IS 'How many upstream jobs have not ended.';
COMMENT ON COLUMN headrace.job.worker IS 'The worker of the newest attempt.';
COMMENT ON COLUMN headrace.job.idempotency_key IS 'What a caller gave so that a repeated dispatch makes no second job.';
COMMENT ON COLUMN headrace.job.when_expr IS 'The condition of the step; false: skipped.';
COMMENT ON COLUMN headrace.job.allow_failure IS 'Whether its failure leaves the run completed.';
COMMENT ON COLUMN headrace.job.handler IS 'failure, success or finally for a handler''s job, else null.';
COMMENT ON COLUMN headrace.job.pool IS 'The pool whose slots it takes.';
COMMENT ON COLUMN headrace.job.child_run IS 'The run that a step of the kind pipeline has started.';
COMMENT ON COLUMN headrace.job.skip_reason IS 'Why it was skipped: condition, upstream_failed or the like.';
COMMENT ON COLUMN headrace.job.needs IS 'The oldest version of the schema whose workers may claim it; null: any.';
COMMENT ON COLUMN headrace.job.given_back IS 'How often workers that do not know its class have given it back.';

COMMENT ON TABLE headrace.job_attempt IS 'The tries of a job that did not complete it, and why.';
COMMENT ON TABLE headrace.job_dependency IS 'Which job waits for which.';
COMMENT ON TABLE headrace.job_log IS 'What the attempts have logged and printed.';

COMMENT ON TABLE headrace.run IS 'One execution of a pipeline.';
COMMENT ON COLUMN headrace.run.version IS 'A digest of the pipeline as it was when the run started.';
COMMENT ON COLUMN headrace.run.status IS 'queued, running; final: completed, failed, cancelled, skipped.';
COMMENT ON COLUMN headrace.run.trigger IS 'Why it exists: schedule, manual, api, backfill or pipeline.';
COMMENT ON COLUMN headrace.run.logical_date IS 'The instant that it stands for: a schedule''s, say, however late it ran.';
COMMENT ON COLUMN headrace.run.plan IS 'The steps as they were planned at its start.';
COMMENT ON COLUMN headrace.run.concurrency_group IS 'Runs of one group share a limit.';
COMMENT ON COLUMN headrace.run.parent_job IS 'The job whose step has started it.';

COMMENT ON COLUMN headrace.run.idempotency_key IS 'What a caller gave so that a repeated request makes no second run.';

COMMENT ON TABLE headrace.pipeline IS 'The pipelines in force, as the leading daemon has read them.';
COMMENT ON TABLE headrace.schedule IS 'How far each pipeline''s schedule has been dealt with.';
COMMENT ON COLUMN headrace.schedule.seen_until IS 'The instants up to here are dealt with.';
COMMENT ON COLUMN headrace.schedule.skipped IS 'How many instants were passed over, by catchup or start_deadline.';
COMMENT ON TABLE headrace.withdrawn IS 'Pipelines whose files are gone and whose schedules have ended with them.';
COMMENT ON TABLE headrace.trigger IS 'Which pipeline waits for runs of which other, and up to where they are dealt with.';
COMMENT ON TABLE headrace.triggered IS 'Which runs have started, or not started, runs of another pipeline.';

COMMENT ON TABLE headrace.worker IS 'Workers that live, and those that have ended within a day.';
COMMENT ON COLUMN headrace.worker.seen_at IS 'The last heartbeat.';
COMMENT ON COLUMN headrace.worker.birth_ticks IS 'Ticks since boot at which the process began: a reused pid is not taken for it.';
COMMENT ON COLUMN headrace.worker.job_files IS 'A digest of the job files that it has loaded.';
COMMENT ON TABLE headrace.leader IS 'The lease of the daemon that leads.';
COMMENT ON COLUMN headrace.leader.term IS 'Grows with every change of hands.';
COMMENT ON TABLE headrace.ledger IS 'Which jobs'' effects are committed in this database, when it is another connection''s, too.';
COMMENT ON TABLE headrace.installation IS 'The installation itself, one row; its id is part of its keys in Redis.';

-- Whoever can write there can have a job that has not run counted as done. A worker opens it for the
-- roles of its connections, by name. One that was used before stays as it is: workers of the version
-- before would be refused.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM headrace.ledger)
       AND (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class
             WHERE oid = 'headrace.ledger'::regclass) THEN
        REVOKE SELECT, INSERT ON headrace.ledger FROM PUBLIC;
    END IF;
END
$$;
