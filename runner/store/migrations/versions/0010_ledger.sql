-- A connection may name this database, too, with a role of its own that may make nothing in the
-- schema. It holds numbers of jobs and nothing else; one that was here before keeps its rights.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = 'headrace' AND c.relname = 'ledger') THEN
        CREATE TABLE headrace.ledger (
            job_id      uuid PRIMARY KEY,
            attempt     integer NOT NULL,
            applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        GRANT SELECT, INSERT ON headrace.ledger TO PUBLIC;
    END IF;
    IF (SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'headrace') THEN
        GRANT USAGE ON SCHEMA headrace TO PUBLIC;
    END IF;
END
$$;
