-- The copy lacks 100 customers, has 50 too many, and 25 with an old name.
SELECT pg_advisory_xact_lock(hashtext('example_sync'));
CREATE SCHEMA IF NOT EXISTS example_sync;
CREATE SCHEMA IF NOT EXISTS example_sync_staging;
DROP TABLE IF EXISTS example_sync.customer, example_sync.customer_copy;
CREATE TABLE example_sync.customer (id integer PRIMARY KEY, name text, joined date);
CREATE TABLE example_sync.customer_copy (LIKE example_sync.customer INCLUDING ALL);

INSERT INTO example_sync.customer
SELECT n, 'Customer ' || n, date '2024-01-01' + n FROM generate_series(1, 1000) AS n;

INSERT INTO example_sync.customer_copy
SELECT id, CASE WHEN id <= 25 THEN 'Old name' ELSE name END, joined
  FROM example_sync.customer WHERE id <= 900
 UNION ALL
SELECT n, 'Gone', NULL FROM generate_series(2001, 2050) AS n;
