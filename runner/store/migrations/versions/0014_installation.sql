-- The installation itself, one row. Its id is part of all its keys in Redis, so that several
-- installations, and other applications, can share one. `works_from` is the oldest version of the
-- schema whose programs may still work with it as it is now; `version` the Headrace that brought
-- it here.
CREATE TABLE headrace.installation (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id          text NOT NULL DEFAULT substr(md5(gen_random_uuid()::text), 1, 10)
                CHECK (id ~ '^[0-9a-z]{4,32}$'),
    works_from  text,
    version     text,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO headrace.installation DEFAULT VALUES;

-- The oldest version of the schema whose workers know all that the job asks for; null: any. An
-- older worker would leave out what it does not know, and say that the job is completed.
ALTER TABLE headrace.job ADD COLUMN needs integer;

-- How often workers that do not know the job's class have given it back.
ALTER TABLE headrace.job ADD COLUMN given_back integer;

-- A lease that lies further ahead than its own length was written before the clock was set back.
ALTER TABLE headrace.leader ADD COLUMN lease interval NOT NULL DEFAULT interval '3 seconds';
