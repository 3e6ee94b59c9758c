-- On whose clock a job's logical date is: the schedule's. Null: UTC.
ALTER TABLE headrace.job ADD COLUMN timezone text;

-- What the pipeline's schedules were when `seen_until` was last moved: what another one would
-- have had due before is not owed. Empty: it had none. Null: not known, from before this column.
ALTER TABLE headrace.schedule ADD COLUMN declared text;

-- Pipelines whose files were removed: their queued runs wait until they are back.
CREATE TABLE headrace.withdrawn (
    pipeline    text PRIMARY KEY,
    removed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The text of the file: a new leader finds the last good version there where the file is broken.
ALTER TABLE headrace.pipeline ADD COLUMN source bytea;
