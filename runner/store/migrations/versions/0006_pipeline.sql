-- What the leading daemon runs: the pipelines as it last read them from valid files.
CREATE TABLE headrace.pipeline (
    name        text PRIMARY KEY,
    version     text NOT NULL,
    definition  jsonb NOT NULL,
    file        text NOT NULL,
    loaded_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
