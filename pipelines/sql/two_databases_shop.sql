-- The shop's tables; each run takes in what is missing of the orders and changes every tenth one.
SELECT pg_advisory_xact_lock(hashtext('example_shop'));
CREATE SCHEMA IF NOT EXISTS example_shop;
CREATE TABLE IF NOT EXISTS example_shop.customer (
    id integer PRIMARY KEY,
    email text NOT NULL,
    city text NOT NULL
);
CREATE TABLE IF NOT EXISTS example_shop.order (
    id integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES example_shop.customer,
    ordered_on date NOT NULL,
    amount numeric(10, 2) NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS order_updated_at ON example_shop.order (updated_at);

INSERT INTO example_shop.customer
SELECT n, 'customer' || n || '@example.com', (ARRAY['Berlin', 'Lyon', 'Porto', 'Turku'])[1 + n % 4]
  FROM generate_series(1, 200) AS n
    ON CONFLICT DO NOTHING;

UPDATE example_shop.order
   SET amount = amount + 1, updated_at = clock_timestamp()
 WHERE id % 10 = 0;

INSERT INTO example_shop.order (id, customer_id, ordered_on, amount)
SELECT n, 1 + n % 200, date '2026-01-01' + n % 90, 5 + n % 400
  FROM generate_series(1, {{ params.orders }}) AS n
    ON CONFLICT DO NOTHING;
