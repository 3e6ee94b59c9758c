-- Environment variables that hold while the job runs, as the step says: secrets are references.
ALTER TABLE headrace.job ADD COLUMN env jsonb;
