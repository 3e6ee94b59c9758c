"""What keeps a table from being swapped, beside another table with all of the same."""

from typing import Any

from tests.support.statements import sent

# All that hangs on a table of a schema; the same in another schema.
HANGING = """
CREATE SCHEMA {s}; CREATE TABLE {s}.base (no int); CREATE TABLE {s}.plain (id int PRIMARY KEY,
    no int GENERATED ALWAYS AS IDENTITY, up int CHECK (up > 0), n serial);
CREATE TABLE {s}.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone int, name text,
    n serial, twice int GENERATED ALWAYS AS (n * 2) STORED CHECK (twice > 0),
    up int CONSTRAINT up REFERENCES {s}.t) INHERITS ({s}.base);
ALTER TABLE {s}.t ALTER gone SET STATISTICS 7; ALTER TABLE {s}.t DROP gone;
ALTER TABLE {s}.t ALTER no SET STATISTICS 9, ALTER name SET STATISTICS 0,
                  ALTER twice SET (n_distinct = 5),
                  ALTER n SET (n_distinct_inherited = 5), ALTER n SET STATISTICS -1;
ALTER TABLE {s}.t ADD note text DEFAULT (NULL::{s}.t)::text;
CREATE VIEW {s}.v AS SELECT id, name FROM {s}.t;
CREATE MATERIALIZED VIEW {s}.m AS SELECT 1 FROM {s}.t;
CREATE TABLE {s}.child (id int CONSTRAINT "To" REFERENCES {s}.t,
                        CONSTRAINT is_t CHECK ((NULL::{s}.t) IS NULL));
CREATE TABLE {s}.heir () INHERITS ({s}.t);
CREATE FUNCTION {s}.f({s}.t) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION {s}.g({s}.t[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE {s}.holds (a {s}.t); CREATE DOMAIN {s}.d AS {s}.t;
CREATE FUNCTION {s}.h() RETURNS {s}.t LANGUAGE sql AS 'SELECT NULL::{s}.t';
CREATE TABLE {s}.says (a text DEFAULT (NULL::{s}.t).name, b text DEFAULT ({s}.h()).name);
CREATE TRIGGER "G" BEFORE UPDATE ON {s}.t FOR EACH ROW
    EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE RULE also AS ON UPDATE TO {s}.plain DO ALSO DELETE FROM {s}.t;
CREATE RULE "R" AS ON DELETE TO {s}.t DO INSTEAD NOTHING;
ALTER TABLE {s}.t ENABLE ROW LEVEL SECURITY;
CREATE POLICY "P" ON {s}.t USING (id IN (SELECT o.id FROM {s}.t AS o));
CREATE POLICY other ON {s}.plain USING (id IN (SELECT id FROM {s}.t));
CREATE PUBLICATION "Pub_{s}" FOR TABLE {s}.t WHERE (id > 0);
CREATE STATISTICS {s}."St" ON name, n FROM {s}.t;
ALTER TABLE {s}.t REPLICA IDENTITY FULL; GRANT USAGE ON SEQUENCE {s}.t_id_seq TO PUBLIC;
CREATE EXTENSION {e} SCHEMA {s}; ALTER EXTENSION {e} ADD TABLE {s}.t
"""
EXTENSIONS = {"s": "hstore", "o": "pg_trgm"}
HANGS = [
    'inheritance with {s}.base', 'inheritance with {s}.heir', 'its replica identity',
    'row level security', 'settings of the column n', 'settings of the column name',
    'settings of the column twice', 'settings of the column no', 'the extension {e}',
    'the foreign key "To" of {s}.child', 'the foreign key up of {s}.t', 'the policy "P"',
    'the privileges on the sequence {s}.t_id_seq', 'the publication "Pub_{s}"', 'the rule "R"',
    'the statistics "St"', 'the trigger "G"', 'the view {s}.m', 'the view {s}.v',
    'column a of table {s}.holds', 'constraint is_t on table {s}.child',
    'default value for column a of table {s}.says', 'default value for column note of table {s}.t',
    'function {s}.f({s}.t)', 'function {s}.h()',
    'default value for column b of table {s}.says', 'function {s}.g({s}.t[])',
    'policy other on table {s}.plain',
    'type {s}.d', 'rule also on table {s}.plain',
    'table {s}.heir', 'default value for column note of table {s}.heir',
]  # fmt: skip


def test_all_that_hangs_on_a_table_keeps_it_from_being_swapped(target: Any) -> None:
    with target.connect() as connection:
        for schema, extension in EXTENSIONS.items():
            connection.exec_driver_sql(HANGING.format(s=schema, e=extension))

        # Hashed, what is distinct would have no order.
        connection.exec_driver_sql("SET enable_sort = off")

        def told(table: str) -> list[str]:
            oid = connection.exec_driver_sql(f"SELECT '{table}'::regclass::oid").scalar_one()
            return list(sent(connection, "swap_obstacles", oid=oid).scalars())

        def in_order(texts: list[str]) -> list[str]:
            asked = "SELECT * FROM unnest(%s::text[]) ORDER BY 1"
            return list(connection.exec_driver_sql(asked, (texts,)).scalars())

        for schema, extension in EXTENSIONS.items():
            assert told(f"{schema}.t") == in_order(
                [one.format(s=schema, e=extension) for one in HANGS]
            )
            assert told(f"{schema}.plain") == ["the policy other", "the rule also"]
