-- A thousand orders in four regions. May be run again at any time.
SELECT pg_advisory_xact_lock(hashtext('example_report'));
CREATE SCHEMA IF NOT EXISTS example_report;
CREATE TABLE IF NOT EXISTS example_report.sale (
    id     integer PRIMARY KEY,
    region text NOT NULL,
    amount numeric(10, 2) NOT NULL
);

INSERT INTO example_report.sale (id, region, amount)
SELECT n,
       (ARRAY['north', 'south', 'east', 'west'])[1 + n % 4],
       (n * 37 % 500) + 0.50
  FROM generate_series(1, 1000) AS n
ON CONFLICT (id) DO NOTHING;
