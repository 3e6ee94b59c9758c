-- What checks have measured in completed jobs, to compare the next value with.
CREATE TABLE headrace.metric_value (
    connection  text NOT NULL,
    table_name  text NOT NULL,
    name        text NOT NULL,
    job_id      uuid NOT NULL,
    run_id      uuid,
    value       numeric NOT NULL,
    measured_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (connection, table_name, name, job_id)
);
CREATE INDEX metric_value_newest ON headrace.metric_value (connection, table_name, name, measured_at DESC);

COMMENT ON TABLE headrace.metric_value IS 'The values of metric checks, one for each completed job.';
COMMENT ON COLUMN headrace.metric_value.connection IS 'The connection of the table; empty for the control database.';
COMMENT ON COLUMN headrace.metric_value.value IS 'It is committed with the job: a failed job leaves none.';
