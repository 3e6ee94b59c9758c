CREATE SCHEMA IF NOT EXISTS headrace;
CREATE TABLE IF NOT EXISTS headrace.ledger (
    job_id      uuid PRIMARY KEY,
    attempt     integer NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
