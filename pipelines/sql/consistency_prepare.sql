-- Three customers and eight orders, three of them bad.
SELECT pg_advisory_xact_lock(hashtext('example_check'));
CREATE SCHEMA IF NOT EXISTS example_check;
DROP TABLE IF EXISTS example_check.orders, example_check.customer;
CREATE TABLE example_check.customer (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE example_check.orders (id integer, customer_id integer, amount numeric(10, 2));

INSERT INTO example_check.customer VALUES (1, 'Ada'), (2, 'Grace'), (3, 'Edsger');
INSERT INTO example_check.orders VALUES
    (1, 1, 10.00), (2, 1, 20.00), (3, 2, 30.00), (4, 3, 40.00),
    (5, 3, NULL), (6, 2, 60.00), (7, 98, 70.00), (8, 99, 80.00);
