-- A session for each day of 2024, and some scratch rows; begins afresh each time.
SELECT pg_advisory_xact_lock(hashtext('example_cleanup'));
CREATE SCHEMA IF NOT EXISTS example_cleanup;
DROP TABLE IF EXISTS example_cleanup.session, example_cleanup.session_archive;
DROP TABLE IF EXISTS example_cleanup.scratch;
CREATE TABLE example_cleanup.session (id integer PRIMARY KEY, started_at timestamptz NOT NULL);
CREATE TABLE example_cleanup.scratch (note text);

INSERT INTO example_cleanup.session (id, started_at)
SELECT n, '2024-01-01 12:00+00'::timestamptz + (n - 1) * interval '1 day'
  FROM generate_series(1, 366) AS n;

INSERT INTO example_cleanup.scratch SELECT 'left over' FROM generate_series(1, 100);
