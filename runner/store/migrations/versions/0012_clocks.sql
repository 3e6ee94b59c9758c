-- On whose clock a job's logical date is: the schedule's. Null: UTC.
ALTER TABLE headrace.job ADD COLUMN timezone text;

-- What the pipeline's schedules were when `seen_until` was last moved: what another one would
-- have had due before is not owed. Empty: it had none. Null: not known, from before this column.
ALTER TABLE headrace.schedule ADD COLUMN declared text;

-- A pipeline whose file was removed: its queued runs wait until it is back.
ALTER TABLE headrace.pipeline ADD COLUMN removed_at timestamptz;
