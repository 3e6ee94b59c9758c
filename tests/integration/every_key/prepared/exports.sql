CREATE SCHEMA e;
CREATE TABLE e.orders (id integer, name text, amount numeric, at timestamptz);
INSERT INTO e.orders VALUES
    (1, 'Zoë', 1.50, '2026-07-01 00:30+02'), (2, '=1+1', NULL, NULL), (3, '', 7, NULL);
CREATE TABLE e.read_csv (LIKE e.orders);
CREATE TABLE e.read_tsv (LIKE e.orders);
CREATE TABLE e.read_json (LIKE e.orders);
CREATE TABLE e.read_jsonl (LIKE e.orders);
CREATE TABLE e.read_parquet (LIKE e.orders);
CREATE TABLE e.read_xlsx (LIKE e.orders);
CREATE TABLE e.read_zip (LIKE e.orders);
CREATE TABLE e.read_parts (LIKE e.orders);
