-- Ten thousand readings, every one of them updated once.
SELECT pg_advisory_xact_lock(hashtext('example_maintenance'));
CREATE SCHEMA IF NOT EXISTS example_maintenance;
CREATE TABLE IF NOT EXISTS example_maintenance.reading (
    id    integer PRIMARY KEY,
    value integer NOT NULL
);
CREATE INDEX IF NOT EXISTS reading_value ON example_maintenance.reading (value);

INSERT INTO example_maintenance.reading (id, value)
SELECT n, n % 100 FROM generate_series(1, 10000) AS n
ON CONFLICT (id) DO NOTHING;

UPDATE example_maintenance.reading SET value = (value + 1) % 100;
