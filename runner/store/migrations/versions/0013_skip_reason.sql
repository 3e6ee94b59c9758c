-- Why a job was skipped: a trigger rule two steps below still has to know of a failure.
ALTER TABLE headrace.job
  ADD COLUMN skip_reason text,
  -- A job above was skipped by its condition while others were unfinished: the completing
  -- statement, which counts only what has just ended, leaves such a job to a recount.
  ADD COLUMN upstream_skipped boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT job_skip_reason CHECK (skip_reason IN ('upstream_failed', 'condition')) NOT VALID;

-- A run that was cancelled while its `finally` handlers had not run: it ends with them.
ALTER TABLE headrace.run
  ADD COLUMN cancelled_at timestamptz;
