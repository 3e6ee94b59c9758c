-- For tests only: every change of a job's status, and the table whose rows are counted.
CREATE SCHEMA audit;
CREATE TABLE audit.job (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id       uuid NOT NULL,
    old          text,
    new          text NOT NULL,
    old_attempt  integer,
    new_attempt  integer NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit.job (job_id, new, new_attempt) VALUES (NEW.id, NEW.status, NEW.attempt);
    ELSIF OLD.status <> NEW.status OR OLD.attempt <> NEW.attempt THEN
        INSERT INTO audit.job (job_id, old, new, old_attempt, new_attempt)
        VALUES (NEW.id, OLD.status, NEW.status, OLD.attempt, NEW.attempt);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON headrace.job
   FOR EACH ROW EXECUTE FUNCTION audit.note();

-- No key: an effect that was applied twice must be seen, not refused.
CREATE TABLE public.effect (
    job_id     uuid NOT NULL,
    attempt    integer NOT NULL,
    tag        text,
    -- In a target database the effect may be of an attempt that died before it completed.
    elsewhere  boolean NOT NULL DEFAULT false,
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX effect_job ON public.effect (job_id);
