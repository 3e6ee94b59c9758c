-- Of a run: whom to tell of it ({"on": [kinds], "to": [receivers]}), when it and its steps are late
-- ({step: {"deadline_s", "duration_s"}}, the run itself under ""), and what of them has been late.
ALTER TABLE headrace.run ADD COLUMN notify jsonb, ADD COLUMN expected jsonb, ADD COLUMN late jsonb;
-- For the look-out for late runs, once a second.
CREATE INDEX run_expected ON headrace.run (id)
 WHERE expected IS NOT NULL AND status IN ('queued', 'running');

-- The outbox: one row for each receiver of each notification.
CREATE TABLE headrace.notification (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind        text NOT NULL CHECK (kind IN ('failure', 'recovery', 'late', 'success')),
    receiver    text NOT NULL,
    pipeline    text NOT NULL,
    run_id      uuid,
    step        text,
    content     jsonb NOT NULL,
    status      text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'given_up')),
    tries       integer NOT NULL DEFAULT 0,
    next_try    timestamptz NOT NULL DEFAULT clock_timestamp(),
    taken_until timestamptz,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz
);
-- The order of sending: see notification.sql.
CREATE INDEX notification_pending ON headrace.notification (receiver, pipeline, created_at, id)
 WHERE status = 'pending';
CREATE INDEX notification_run ON headrace.notification (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX notification_created ON headrace.notification (created_at, id);

-- Pipelines whose last run failed: its removal, by exactly one transaction, is the recovery. History
-- could not tell: runs are pruned, and a failed run that is retried does not look failed any more.
CREATE TABLE headrace.alarm (
    pipeline  text PRIMARY KEY,
    run_id    uuid,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    failures  integer NOT NULL DEFAULT 1
);

-- A trigger, not a part of the statements: runs end in several of them, also in those of workers
-- of earlier versions, and none can be forgotten. For a run that nobody is to be told of its
-- condition is all that is evaluated.
CREATE FUNCTION headrace.note_end_of_run() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kinds   text[] := ARRAY['success'];
    before  headrace.alarm;
    content jsonb;
BEGIN
    IF NEW.status = 'failed' THEN
        kinds := ARRAY['failure'];
        INSERT INTO headrace.alarm AS known (pipeline, run_id) VALUES (NEW.pipeline, NEW.id)
            ON CONFLICT (pipeline) DO UPDATE SET failures = known.failures + 1;
    ELSE
        DELETE FROM headrace.alarm WHERE pipeline = NEW.pipeline RETURNING * INTO before;
        IF FOUND THEN
            kinds := ARRAY['recovery', 'success'];
        END IF;
    END IF;
    SELECT array_agg(kind) INTO kinds FROM unnest(kinds) AS kind WHERE NEW.notify -> 'on' ? kind;
    IF kinds IS NULL THEN
        RETURN NULL;
    END IF;
    content := jsonb_build_object(
        'status', NEW.status, 'trigger', NEW.trigger, 'logical_date', NEW.logical_date,
        'started_at', NEW.started_at, 'finished_at', NEW.finished_at, 'error', NEW.error,
        'failures', before.failures, 'failed_since', before.since);
    IF NEW.status = 'failed' THEN
        -- As in `finish_run`: these steps made it fail. `of`: attempts that were left to it, too.
        SELECT content || jsonb_build_object(
                   'failed_steps', count(*),
                   'steps', coalesce(jsonb_agg(jsonb_build_object(
                        'step', failed.step, 'attempt', failed.attempt, 'of', failed.most,
                        'error', failed.error) ORDER BY failed.place)
                       FILTER (WHERE failed.place <= 5), '[]'))
          INTO content
          FROM (SELECT step, attempt, error,
                       attempt + greatest(coalesce((retry ->> 'limit')::numeric::integer, 0) - retry_count, 0)
                           AS most,
                       row_number() OVER (ORDER BY finished_at, id) AS place
                  FROM headrace.job
                 WHERE run_id = NEW.id AND status = 'failed' AND NOT allow_failure) AS failed;
    END IF;
    INSERT INTO headrace.notification (kind, receiver, pipeline, run_id, content)
    SELECT kind, receiver, NEW.pipeline, NEW.id, content
      FROM unnest(kinds) AS kind
     CROSS JOIN jsonb_array_elements_text(NEW.notify -> 'to') AS receiver;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_end_of_run AFTER UPDATE OF status ON headrace.run
   FOR EACH ROW
  WHEN (NEW.notify IS NOT NULL AND NEW.status IN ('completed', 'failed')
        AND OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION headrace.note_end_of_run();
-- Whatever a session has set as its replication role.
ALTER TABLE headrace.run ENABLE ALWAYS TRIGGER note_end_of_run;

COMMENT ON TABLE headrace.notification IS 'Outbox of notifications: one row for each receiver of each.';
COMMENT ON COLUMN headrace.notification.content IS 'The run as it was then: status, failed steps with attempt and error, times.';
COMMENT ON COLUMN headrace.notification.tries IS 'How often it was sent or attempted; the number fences the record of an attempt.';
COMMENT ON COLUMN headrace.notification.next_try IS 'When it is sent next.';
COMMENT ON COLUMN headrace.notification.taken_until IS 'While it is being sent: when another daemon may take it, should there be no record of the end.';
COMMENT ON COLUMN headrace.notification.error IS 'Why the last attempt failed, or who of several recipients was refused.';
COMMENT ON TABLE headrace.alarm IS 'Pipelines with notifications whose last run failed; the next completed one is the recovery.';
COMMENT ON COLUMN headrace.run.notify IS 'Whom to tell of the run, and of what; null: nobody.';
COMMENT ON COLUMN headrace.run.expected IS 'After how many seconds steps count as late, by step; the run itself under the empty name.';
COMMENT ON COLUMN headrace.run.late IS 'What of it has been late, by step: rule, limit_s and since when.';
