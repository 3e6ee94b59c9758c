-- Two hundred visits for the hour, the same ones however often it is run; a week is kept.
SELECT pg_advisory_xact_lock(hashtext('example_hourly'));
CREATE SCHEMA IF NOT EXISTS example_hourly;
CREATE TABLE IF NOT EXISTS example_hourly.visit (
    hour    timestamptz NOT NULL,
    number  integer NOT NULL,
    page    text NOT NULL,
    visitor integer NOT NULL,
    seconds integer NOT NULL,
    PRIMARY KEY (hour, number)
);

DELETE FROM example_hourly.visit
 WHERE hour < date_trunc('hour', {{ params.hour }}::timestamptz) - interval '7 days';

INSERT INTO example_hourly.visit (hour, number, page, visitor, seconds)
SELECT date_trunc('hour', {{ params.hour }}::timestamptz),
       n,
       (ARRAY['/', '/docs', '/prices', '/contact'])[1 + n % 4],
       n % 50,
       5 + n * 7 % 90
  FROM generate_series(1, 200) AS n
ON CONFLICT (hour, number) DO NOTHING;
