"""What the statements about indexes, views and upkeep tell of one table beside its neighbours."""

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.support.roles import create_role
from tests.support.statements import Told, sent

# Both tables have all kinds of indexes; the parts' index on ONLY the parent is not valid.
INDEXES = """
CREATE SCHEMA s;
CREATE TABLE s.t (gone int, id int PRIMARY KEY, "No" int, name text, at date,
    CONSTRAINT once UNIQUE (name), CONSTRAINT apart EXCLUDE USING btree (at WITH =));
CREATE INDEX lower_name ON s.t (lower(name)) WHERE id > 0; CREATE INDEX no_at ON s.t ("No", at);
ALTER TABLE s.t DROP gone; COMMENT ON INDEX s.no_at IS 'of t';
CREATE TABLE s.n (id int PRIMARY KEY, name text UNIQUE, t int CONSTRAINT to_t REFERENCES s.t);
CREATE INDEX other ON s.n (lower(name)); COMMENT ON INDEX s.other IS 'of n';
CREATE TABLE s.p (id int, name text) PARTITION BY RANGE (id);
CREATE TABLE s.p_1 PARTITION OF s.p DEFAULT; CREATE INDEX bad ON ONLY s.p (name);
CREATE INDEX good ON s.p (id);
CREATE TABLE s.q (id int) PARTITION BY RANGE (id); CREATE TABLE s.q_1 PARTITION OF s.q DEFAULT;
CREATE INDEX bad_of_q ON ONLY s.q (id)
"""


@pytest.fixture
def oid(query: Any) -> Any:
    return lambda name: int(query(f"SELECT '{name}'::regclass::oid::bigint")[0][0])


def test_the_definitions_of_a_tables_own_valid_indexes(told: Told, execute: Any, oid: Any) -> None:
    execute(INDEXES)
    rows = [(*row[:4], sorted(row[4])) for row in told("index_definitions", oid=oid("s.t"))]
    assert rows == [
        ("apart", False, True, "USING btree (at)", ["at"]),
        ("lower_name", False, False, "USING btree (lower(name)) WHERE (id > 0)", ["id", "name"]),
        ("no_at", False, False, 'USING btree ("No", at)', ["No", "at"]),
        ("once", True, False, "USING btree (name)", ["name"]),
    ]
    assert [row[0] for row in told("index_definitions", oid=oid("s.p"))] == ["good"]
    names = ["s.apart", "s.lower_name", "s.no_at", "s.once", "s.t_pkey"]
    assert told("indexes_of", table="s.t") == [(name,) for name in names]
    assert told("indexes_of", table="s.p") == []
    assert told("indexes_of", table="s.p_1") == [("s.p_1_id_idx",)]


def test_a_swapped_table_gets_its_own_indexes_and_foreign_keys(
    told: Told, execute: Any, oid: Any
) -> None:
    execute(INDEXES)
    execute("ALTER TABLE s.t ADD CONSTRAINT to_n FOREIGN KEY (id) REFERENCES s.n;"
            "ALTER TABLE s.t CLUSTER ON no_at")  # fmt: skip
    assert sorted(told("swap_indexes", oid=oid("s.t"))) == [
        ("apart", True, False, "EXCLUDE USING btree (at WITH =)", False, None),
        ("lower_name", False, False, " USING btree (lower(name)) WHERE (id > 0)", False, None),
        ("no_at", False, True, ' USING btree ("No", at)', False, "of t"),
        ("once", True, False, "UNIQUE (name)", True, None),
        ("t_pkey", True, False, "PRIMARY KEY (id)", True, None),
        ("to_n", True, False, "FOREIGN KEY (id) REFERENCES s.n(id)", False, None),
    ]
    assert [row[0] for row in told("swap_indexes", oid=oid("s.p"))] == ["good"]


def test_a_swapped_table_gets_its_own_sequences_options_and_owner(
    told: Told, execute: Any, oid: Any, query: Any
) -> None:
    execute(create_role("owns"))
    execute("GRANT ALL ON SCHEMA public TO owns")
    execute(
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY, b serial, c int DEFAULT 1, d int)"
        " WITH (fillfactor = 70, autovacuum_enabled = false);"
        "CREATE UNLOGGED TABLE n (a int GENERATED ALWAYS AS IDENTITY, b serial);"
        "CREATE SEQUENCE free; ALTER TABLE t ALTER d SET DEFAULT nextval('free');"
        "CREATE INDEX ON t (a); CREATE VIEW v AS SELECT b FROM t; ALTER TABLE n OWNER TO owns"
    )
    assert sorted(told("swap_sequences", oid=oid("t"))) == [
        (False, "t_b_seq", "b"), (True, "t_a_seq", "a")]  # fmt: skip
    ((me,),) = query("SELECT quote_ident(current_user)")
    options = "fillfactor='70', autovacuum_enabled='false'"
    assert told("swap_facts", oid=oid("t")) == [(options, None, False, me, True)]
    assert told("swap_facts", oid=oid("n")) == [(None, None, True, "owns", False)]


def test_an_index_that_is_not_valid_is_one_of_the_table_or_of_that_name(
    told: Told, execute: Any, outside: Any
) -> None:
    execute(INDEXES)
    assert told("rebuild_invalid", table="s.p", index=None) == [("s.bad",)]
    assert told("rebuild_invalid", table="s.t", index=None) == []
    assert told("rebuild_invalid", table=None, index="s.bad") == [("s.bad",)]
    assert told("rebuild_invalid", table=None, index="s.good") == []
    execute("CREATE INDEX again ON ONLY s.p (name); INSERT INTO s.n VALUES (1), (2)")
    with outside.connect() as connection, pytest.raises(IntegrityError):
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            "CREATE UNIQUE INDEX CONCURRENTLY never ON s.n ((id > 0))"
        )
    assert told("rebuild_invalid", table="s.n", index=None) == [("s.never",)]
    assert told("rebuild_invalid", table=None, index="s.never") == [("s.never",)]
    assert told("rebuild_invalid", table="s.p", index=None) == [("s.again",), ("s.bad",)]
    assert told("invalid_index", name="bad") == [("s.bad",)]
    for name in ("good", "once", "absent"):
        assert told("invalid_index", name=name) == []


def test_what_a_stopped_rebuild_of_a_table_has_left_is_told_and_nothing_else(
    told: Told, execute: Any, query: Any, outside: Any
) -> None:
    execute(INDEXES)
    tables = {
        "t": ("t_ccold1", "t_ccnew_2", "cc"),
        "n": (),
        "p_1": ("p_ccnew",),
        "q_1": ("q_ccnew",),
    }
    with outside.connect() as connection, outside.connect() as writer:
        alone = connection.execution_options(isolation_level="AUTOCOMMIT")
        alone.exec_driver_sql("SET lock_timeout = '100ms'")
        writer.exec_driver_sql("LOCK TABLE s.t, s.n IN ROW EXCLUSIVE MODE")
        for table in "tn":
            with pytest.raises(OperationalError, match="lock timeout"):
                alone.exec_driver_sql(f"REINDEX TABLE CONCURRENTLY s.{table}")
        writer.rollback()
        for table, names in tables.items():
            alone.exec_driver_sql(f"INSERT INTO s.{table} (id) VALUES (1), (2)")
            for name in names:
                with pytest.raises(IntegrityError):
                    alone.exec_driver_sql(
                        f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON s.{table} ((id > 0))"
                    )
    execute("CREATE INDEX fine_ccnew ON s.t (id); CREATE INDEX parts_ccnew ON ONLY s.p (name)")

    def left(table: str | None, index: str | None = None) -> list[str]:
        return [name for (name,) in told("rebuild_leftovers", table=table, index=index)]

    ((toast,),) = query("SELECT reltoastrelid::regclass::text FROM pg_class"
                        " WHERE oid = 's.t'::regclass")  # fmt: skip
    of_t = ["s.lower_name_ccnew", "s.no_at_ccnew", "s.once_ccnew", "s.t_ccold1", "s.t_pkey_ccnew"]
    assert left("s.t") == [f"{toast}_index_ccnew", *of_t]
    assert left("s.p") == left("s.p_1") == ["s.p_ccnew"]
    assert left("s.absent") == []
    assert left(None, "s.no_at") == left(None, "s.t_ccold1") == of_t
    assert left(None, "s.good") == ["s.p_ccnew"]
    assert left(None, "s.absent") == []


def test_an_index_lies_on_its_table_and_one_of_partitions_on_each(told: Told, execute: Any) -> None:
    execute(INDEXES)
    assert told("table_of_index", index="s.no_at") == [("s.no_at", "s.t")]
    assert sorted(told("table_of_index", index="s.good")) == [
        ("s.good", "s.p"), ("s.p_1_id_idx", "s.p_1")]  # fmt: skip
    assert told("table_of_index", index="s.absent") == []


VIEWS = """
CREATE MATERIALIZED VIEW m AS SELECT 1 AS a, 2 AS b; CREATE MATERIALIZED VIEW n AS SELECT 1 AS a;
CREATE UNIQUE INDEX of_n ON n (a); CREATE VIEW v AS SELECT 1 AS a, 2 AS b;
CREATE MATERIALIZED VIEW empty AS SELECT 1 AS a WITH NO DATA
"""


@pytest.mark.parametrize(
    ("index", "keyed"),
    [
        ("UNIQUE INDEX ON m (a)", True),
        ("UNIQUE INDEX ON m (a, b)", True),
        ("INDEX ON m (a)", False),
        ("UNIQUE INDEX ON m (a) WHERE b > 0", False),
        ("UNIQUE INDEX ON m ((a + b))", False),
    ],
)
def test_a_view_is_keyed_by_a_unique_index_over_all_its_rows(
    told: Told, execute: Any, index: str, keyed: bool
) -> None:
    execute(f"{VIEWS}; CREATE {index}")
    assert told("view_facts", view="m") == [("m", True, keyed)]
    assert told("view_facts", view="empty") == [("m", False, False)]
    assert told("view_facts", view="v") == [("v", True, False)]
    assert told("view_facts", view="absent") == []


def test_a_view_made_anew_gets_its_own_indexes_and_grants(
    told: Told, execute: Any, oid: Any
) -> None:
    execute(VIEWS)
    for role in ("reads", "tells"):
        execute(create_role(role))
        execute(f"GRANT ALL ON SCHEMA public TO {role}")
    execute("CREATE UNIQUE INDEX of_m_2 ON m (b) WHERE a > 0; CREATE INDEX of_m_1 ON m (a);"
            "GRANT SELECT ON m TO reads WITH GRANT OPTION; GRANT UPDATE ON m TO PUBLIC;"
            "GRANT SELECT (b) ON m TO tells; GRANT SELECT (a) ON n TO tells;"
            "GRANT DELETE ON n TO reads; GRANT TRIGGER ON v TO reads;"
            "COMMENT ON INDEX of_m_1 IS 'c'")  # fmt: skip
    assert told("view_indexes", oid=oid("m")) == [
        ("of_m_1", False, "c", "USING btree (a)"),
        ("of_m_2", True, None, "USING btree (b) WHERE (a > 0)"),
    ]
    grants = told("view_privileges", oid=oid("m"), view="m")
    assert sorted(grants) == [
        ("SELECT (b) ON m TO tells",), ("SELECT ON m TO reads WITH GRANT OPTION",),
        ("UPDATE ON m TO PUBLIC",)]  # fmt: skip
    execute("COMMENT ON VIEW v IS 'v'; COMMENT ON COLUMN v.a IS 'a'; ALTER VIEW v OWNER TO reads;"
            "CREATE VIEW same WITH (security_barrier) AS SELECT 1 AS a, 2 AS b")  # fmt: skip
    state = {name: told("view_state", oid=oid(name), draft=oid("same")) for name in ("v", "n")}
    assert state["v"] == [(False, True, None, None, "reads", False)]
    assert state["n"][0][:4] == (False, False, None, None)
    (same,) = told("view_state", oid=oid("same"), draft=oid("n"))
    assert (same[1:3], same[5]) == ((False, "security_barrier='true'"), True)


def test_upkeep_is_of_one_table_with_its_parts_or_of_one_schema(told: Told, execute: Any) -> None:
    execute(INDEXES)
    execute("CREATE SCHEMA o; CREATE TABLE o.t (id int); CREATE MATERIALIZED VIEW s.m AS SELECT 1;"
            "CREATE VIEW s.v AS SELECT 1; CREATE SEQUENCE s.seq")  # fmt: skip

    def names(table: str | None, schema: str | None, roots: bool) -> list[str]:
        given = {"table": table, "schema": schema, "roots": roots, "maintain": False}
        return [row[1] for row in told("maintainable", **given)]

    assert names("s.t", None, False) == ["s.t"]
    assert names("s.p", None, False) == ["s.p_1"]
    assert names("s.p", None, True) == ["s.p"]
    assert names(None, "s", False) == ["s.m", "s.n", "s.p_1", "s.q_1", "s.t"]
    assert names(None, "s", True) == ["s.m", "s.n", "s.p", "s.q", "s.t"]
    assert names(None, "o", False) == ["o.t"]
    assert names("s.v", None, False) == []


def test_upkeep_is_for_owners_of_the_table_or_the_database(
    told: Told, target: Any, execute: Any
) -> None:
    execute(create_role("other"))
    execute("GRANT ALL ON SCHEMA public TO other")
    execute("CREATE TABLE a (id int); CREATE TABLE b (id int); ALTER TABLE b OWNER TO other")
    with target.connect() as connection:
        connection.exec_driver_sql("SET ROLE other")
        rows = sent(connection, "maintainable", table=None, schema="public", roots=False,
                    maintain=False)  # fmt: skip
        assert [(row.name, row.allowed) for row in rows] == [("a", False), ("b", True)]
        connection.exec_driver_sql("RESET ROLE")
        if connection.dialect.server_version_info >= (17,):
            connection.exec_driver_sql("CREATE TABLE c (id int); GRANT MAINTAIN ON a TO other;"
                                       "GRANT ALL ON c TO other; REVOKE MAINTAIN ON c FROM other;"
                                       "SET ROLE other")  # fmt: skip
            rows = sent(connection, "maintainable", table=None, schema="public", roots=False,
                        maintain=True)  # fmt: skip
            assert [row.allowed for row in rows] == [True, True, False]
            connection.exec_driver_sql("RESET ROLE; DROP TABLE c; REVOKE ALL ON a FROM other")
        name = connection.exec_driver_sql("SELECT quote_ident(current_database())").scalar_one()
        connection.exec_driver_sql(f"ALTER DATABASE {name} OWNER TO other; SET ROLE other")
        rows = sent(connection, "maintainable", table=None, schema="public", roots=False,
                    maintain=False)  # fmt: skip
        assert [(row.name, row.allowed) for row in rows] == [("a", True), ("b", True)]


def test_upkeep_passes_over_temporary_tables_and_tells_of_those_beside(
    told: Told, target: Any, execute: Any
) -> None:
    execute("CREATE TABLE t (id int) PARTITION BY RANGE (id); CREATE TABLE t_1 PARTITION OF t"
            " DEFAULT; CREATE TABLE note (body text)")  # fmt: skip
    given = {"table": None, "roots": True, "maintain": False}
    with target.connect() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE mine (id int)")
        ((schema,),) = connection.exec_driver_sql(
            "SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()"
        )
        assert sent(connection, "maintainable", schema=schema, **given).all() == []
    rows = told("maintainable", schema="public", **given)
    assert [(row[1], row[2], row[3], row[4]) for row in rows] == [
        ("note", True, 0, 0),
        ("t", True, 0, 0),
    ]
    (note, parent) = (row[5] for row in rows)
    assert note > 0
    assert parent == 0
