-- What has ended, by the time of its end: an entry at the right edge of the index for each end, none
-- for a start or a claim. The active daemon counts by it what has ended since it last counted.
CREATE INDEX job_ended ON headrace.job (finished_at)
 WHERE status IN ('completed', 'failed', 'cancelled', 'skipped');
CREATE INDEX run_ended ON headrace.run (finished_at)
 WHERE status IN ('completed', 'failed', 'cancelled', 'skipped');
CREATE INDEX job_attempt_ended ON headrace.job_attempt (finished_at);

-- Up to where everything has been counted. Who counts holds the row: the totals and this time change
-- in one transaction. What ended before this migration is not counted.
CREATE TABLE headrace.total_mark (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    until      timestamptz NOT NULL DEFAULT clock_timestamp(),
    number     bigint NOT NULL DEFAULT 0
);
INSERT INTO headrace.total_mark DEFAULT VALUES;

CREATE TABLE headrace.total (
    name     text PRIMARY KEY,
    count    bigint NOT NULL DEFAULT 0,
    sum      double precision NOT NULL DEFAULT 0,
    buckets  bigint[] NOT NULL DEFAULT '{}'
);

CREATE TABLE headrace.pipeline_total (
    pipeline  text PRIMARY KEY,
    jobs      bigint[] NOT NULL DEFAULT '{0,0,0,0}',
    runs      bigint[] NOT NULL DEFAULT '{0,0,0,0}',
    number    bigint NOT NULL
);
-- Web processes ask for the rows that have changed since their last look.
CREATE INDEX pipeline_total_number ON headrace.pipeline_total (number);

COMMENT ON TABLE headrace.total_mark IS 'Up to where what has ended is counted in the totals, one row.';
COMMENT ON COLUMN headrace.total_mark.until IS 'What ended before this time is counted.';
COMMENT ON COLUMN headrace.total_mark.number IS 'Grows with each counting; see pipeline_total.number.';
COMMENT ON TABLE headrace.total IS 'Counters and histograms of /metrics; they outlive the rows that were counted.';
COMMENT ON COLUMN headrace.total.buckets IS 'Of a histogram: how many values lie in each bucket; its last one has no upper bound.';
COMMENT ON TABLE headrace.pipeline_total IS 'How many jobs and runs of each pipeline have ended; empty name: jobs of no run.';
COMMENT ON COLUMN headrace.pipeline_total.jobs IS 'Completed, failed, cancelled, skipped.';
COMMENT ON COLUMN headrace.pipeline_total.runs IS 'Completed, failed, cancelled, skipped.';
COMMENT ON COLUMN headrace.pipeline_total.number IS 'Of the counting that last changed the row.';

-- Up to which ended run traces and lineage events have been sent, one row a receiver.
CREATE TABLE headrace.telemetry_mark (
    receiver     text PRIMARY KEY,
    finished_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id       uuid NOT NULL DEFAULT 'ffffffff-ffff-ffff-ffff-ffffffffffff'
);
COMMENT ON TABLE headrace.telemetry_mark IS 'Up to which ended run traces and lineage events have been sent.';
COMMENT ON COLUMN headrace.telemetry_mark.receiver IS 'opentelemetry or openlineage.';
