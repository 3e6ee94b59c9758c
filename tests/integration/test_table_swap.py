"""MirrorTable with `replace_strategy: swap`: what the new table has, and what refuses it."""

from typing import Any

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.mirror_table import MirrorTable
from tests.support.roles import create_role

WITH: dict[str, Any] = {
    "source_table": "given",
    "target_table": "s.kept",
    "replace_strategy": "swap",
}
TARGET = """
CREATE SCHEMA s;
CREATE TABLE s.parent (id int PRIMARY KEY); INSERT INTO s.parent VALUES (1), (2);
CREATE TABLE s.kept (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, no serial, name text COLLATE "C" DEFAULT 'x',
    parent int CONSTRAINT of_parent REFERENCES s.parent,
    twice int GENERATED ALWAYS AS (no * 2) STORED,
    CONSTRAINT named CHECK (name <> ''), CONSTRAINT once UNIQUE (name) DEFERRABLE
) WITH (fillfactor = 70);
CREATE INDEX lower_name ON s.kept (lower(name)) WHERE id > 0;
COMMENT ON TABLE s.kept IS 'kept'; COMMENT ON COLUMN s.kept.name IS 'its name';
COMMENT ON INDEX s.lower_name IS 'of names';
INSERT INTO s.kept (name, parent) VALUES ('old', 1), ('older', 2);
SELECT setval(pg_get_serial_sequence('s.kept', 'id'), 70);
CREATE TABLE given (id int, no int, name text, parent int);
INSERT INTO given VALUES (1, 5, 'new', 1), (9, 6, 'newer', NULL);
"""
# All that the catalogue says of the table, without numbers of objects.
LOOKS = """
SELECT (SELECT string_agg(format('%s %s %s %s', conname, contype, condeferrable, pg_get_constraintdef(oid)), '; ' ORDER BY conname)
          FROM pg_constraint WHERE conrelid = c.oid),
       (SELECT string_agg(pg_get_indexdef(indexrelid) || coalesce(obj_description(indexrelid, 'pg_class'), ''), '; '
                          ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = c.oid),
       (SELECT string_agg(format('%s %s %s %s %s %s', attname, atttypid, attcollation, attidentity,
                                 attgenerated, col_description(c.oid, attnum)), '; ' ORDER BY attnum)
          FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
       pg_get_userbyid(relowner), relacl::text, reloptions::text, obj_description(c.oid, 'pg_class'),
       pg_get_serial_sequence('s.kept', 'no')
  FROM pg_class AS c WHERE oid = 's.kept'::regclass
"""  # noqa: E501
OID = "SELECT 's.kept'::regclass::oid"


@pytest.fixture
def kept(execute):
    execute(TARGET)
    execute(create_role("reads"))
    execute(
        "GRANT SELECT ON s.kept TO reads WITH GRANT OPTION; GRANT UPDATE (name) ON s.kept TO reads"
    )


@pytest.mark.usefixtures("kept")
def test_the_new_table_has_all_that_the_old_one_had(run_job, query, execute):
    before, oid = query(LOOKS), query(OID)

    run_job(MirrorTable, **WITH)

    assert query(LOOKS) == before
    assert query(OID) != oid
    assert query("SELECT id, no, name, parent, twice FROM s.kept ORDER BY 1") == [
        (1, 5, "new", 1, 10), (9, 6, "newer", None, 12)]  # fmt: skip
    assert query("SELECT attacl::text FROM pg_attribute WHERE attname = 'name'"
                 " AND attrelid = 's.kept'::regclass")[0][0].startswith("{reads=w/")  # fmt: skip
    execute("INSERT INTO s.kept (name) VALUES ('later')")
    assert query("SELECT id, no FROM s.kept WHERE name = 'later'") == [(71, 7)]
    run_job(MirrorTable, **WITH)
    assert query(LOOKS) == before


@pytest.mark.usefixtures("kept")
def test_default_privileges_grant_nothing_that_the_old_table_did_not(run_job, query, execute):
    execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;"
            "ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO reads")  # fmt: skip
    before = query("SELECT relacl::text FROM pg_class WHERE oid = 's.kept'::regclass")

    run_job(MirrorTable, **WITH)

    assert query("SELECT relacl::text FROM pg_class WHERE oid = 's.kept'::regclass") == before


@pytest.mark.usefixtures("kept")
def test_owner_order_and_log_stay_what_they_were(run_job, query, execute):
    execute("ALTER TABLE s.kept DROP CONSTRAINT of_parent; ALTER TABLE s.kept SET UNLOGGED")
    execute("REVOKE ALL ON s.kept FROM reads; GRANT ALL ON SCHEMA s TO reads")
    execute("ALTER TABLE s.kept CLUSTER ON kept_pkey")
    execute("ALTER TABLE s.kept OWNER TO reads")
    more = (
        "SELECT relpersistence, (SELECT string_agg(indexrelid::regclass::text, ' ') FROM pg_index"
        " WHERE indrelid = c.oid AND indisclustered) FROM pg_class AS c"
        " WHERE oid = 's.kept'::regclass"
    )
    # An owner's own privileges may be written down or not.
    looks = LOOKS.replace("relacl", "coalesce(relacl, acldefault('r', relowner))")
    before, oid = (query(looks), query(more)), query(OID)
    assert query(more) == [("u", "s.kept_pkey")]

    run_job(MirrorTable, **WITH)

    assert (query(looks), query(more)) == before
    assert query(OID) != oid


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("CREATE VIEW s.v AS SELECT name FROM s.kept", "the view s.v"),
        ("CREATE TABLE s.child (id int REFERENCES s.kept)", "key child_id_fkey of s.child"),
        ("CREATE TABLE s.heir () INHERITS (s.kept)", "inheritance with s.heir"),
        ("CREATE FUNCTION s.f(s.kept) RETURNS int LANGUAGE sql AS 'SELECT 1'", "function s.f"),
        (("CREATE TRIGGER g BEFORE UPDATE ON s.kept FOR EACH ROW"
         " EXECUTE FUNCTION suppress_redundant_updates_trigger()"), "the trigger g"),
        ("ALTER TABLE s.kept ENABLE ROW LEVEL SECURITY", "row level security"),
        ("CREATE STATISTICS s.st ON no, parent FROM s.kept", "the statistics st"),
        ("CREATE RULE r AS ON UPDATE TO s.kept DO INSTEAD NOTHING", "the rule r"),
        ("CREATE POLICY p ON s.kept", "the policy p"),
        ("CREATE PUBLICATION pub FOR TABLE s.kept", "the publication pub"),
        ("ALTER TABLE s.kept REPLICA IDENTITY FULL", "its replica identity"),
        ("ALTER TABLE s.kept ALTER name SET STATISTICS 500", "settings of the column name"),
        (("CREATE POLICY q ON given USING (id IN (SELECT id FROM s.kept))"),
         "policy q on table given"),
        ("ALTER TABLE s.kept ADD w text DEFAULT (NULL::s.kept)::text",
         "default value for column w of table s.kept"),
        ("GRANT USAGE ON SEQUENCE s.kept_id_seq TO reads", "sequence s.kept_id_seq"),
    ],
)  # fmt: skip
def test_what_would_be_lost_refuses_the_swap_by_name(run_job, query, execute, made, said):
    execute(made)
    before, oid = query("SELECT name FROM s.kept ORDER BY 1"), query(OID)

    with pytest.raises(JobFailure, match=f"swap.*{said}"):
        run_job(MirrorTable, **WITH)

    assert (query("SELECT name FROM s.kept ORDER BY 1"), query(OID)) == (before, oid)


@pytest.mark.usefixtures("kept")
def test_what_another_table_has_is_no_matter(run_job, query, execute):
    execute(
        "CREATE TABLE s.other (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, a int, b int);"
        "CREATE VIEW s.v AS SELECT a FROM s.other;"
        "CREATE TABLE s.child (id int REFERENCES s.other);"
        "CREATE TABLE s.heir () INHERITS (s.other);"
        "CREATE FUNCTION s.f(s.other) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE TRIGGER g BEFORE UPDATE ON s.other FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger();"
        "CREATE RULE r AS ON DELETE TO s.other DO INSTEAD NOTHING;"
        "ALTER TABLE s.other ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s.other;"
        "CREATE PUBLICATION pub FOR TABLE s.other; CREATE STATISTICS s.st ON a, b FROM s.other;"
        "ALTER TABLE s.other REPLICA IDENTITY FULL; ALTER TABLE s.other ALTER a SET STATISTICS 500;"
        "GRANT USAGE ON SEQUENCE s.other_id_seq TO reads"
    )

    run_job(MirrorTable, **WITH)

    assert query("SELECT name FROM s.kept ORDER BY 1") == [("new",), ("newer",)]


@pytest.mark.usefixtures("kept")
def test_values_of_columns_that_do_not_come_refuse_the_swap(run_job, execute):
    execute("ALTER TABLE given DROP COLUMN parent")

    with pytest.raises(JobFailure, match="values in columns that the rows do not have"):
        run_job(MirrorTable, **WITH)


def test_a_swap_of_several_tables_is_refused():
    with pytest.raises(InvalidPayload, match="swap is for one source_table"):
        MirrorTable(tables=["a.b"], replace_strategy="swap")
