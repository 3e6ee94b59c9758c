-- What pipelines are triggered by. `seen_until`: what ended before is dealt with, or was never
-- to count; it only grows. `statuses`: how an upstream run has to end.
CREATE TABLE headrace.trigger (
    pipeline    text NOT NULL,
    upstream    text NOT NULL,
    statuses    text[] NOT NULL,
    seen_until  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pipeline, upstream)
);

CREATE INDEX trigger_upstream ON headrace.trigger (upstream);

-- Upstream runs that are used up, each once for a pipeline. `run_id`: the run that it started.
CREATE TABLE headrace.triggered (
    pipeline      text NOT NULL,
    upstream_run  uuid NOT NULL REFERENCES headrace.run ON DELETE CASCADE,
    outcome       text NOT NULL
                  CHECK (outcome IN ('started', 'superseded', 'expired', 'paused', 'failed')),
    run_id        uuid REFERENCES headrace.run ON DELETE SET NULL,
    error         text,
    used_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pipeline, upstream_run)
);
-- For `show`, and for the deletion of a run on either side.
CREATE INDEX triggered_run ON headrace.triggered (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX triggered_upstream ON headrace.triggered (upstream_run);

-- What has ended since, of one pipeline: looked at once a second where another waits for it.
CREATE INDEX run_finished ON headrace.run (pipeline, finished_at) WHERE finished_at IS NOT NULL;
