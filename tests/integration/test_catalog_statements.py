"""What the catalogue's statements tell of one table: others beside it have all that it has."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.support.roles import create_role
from tests.support.statements import Told, sent

Oid = Callable[[str], int]
NAMES = (
    "schema",
    "name",
    "kind",
    "readable",
    "filtered",
    "referenced",
    "sifted",
    "heirs",
    "comment",
)
# A neighbour in the same schema, and one of the same name in another one, have everything.
NEIGHBOURS = """
CREATE SCHEMA s; CREATE SCHEMA o; CREATE TABLE s.t (id int);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TABLE s.n (id int PRIMARY KEY); CREATE TABLE o.t (id int PRIMARY KEY);
CREATE TABLE s.c (id int REFERENCES s.n, no int REFERENCES o.t ON DELETE CASCADE);
CREATE TABLE s.heir () INHERITS (s.n); CREATE TABLE o.heir () INHERITS (o.t);
CREATE TRIGGER g BEFORE INSERT ON s.n FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER g BEFORE INSERT ON o.t FOR EACH ROW EXECUTE FUNCTION keep();
CREATE RULE r AS ON INSERT TO s.n DO INSTEAD NOTHING;
COMMENT ON TABLE s.n IS 'n'; COMMENT ON TABLE o.t IS 'o'; COMMENT ON COLUMN s.t.id IS 'column';
ALTER TABLE s.n ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
"""


@pytest.fixture
def oid(query: Any) -> Oid:
    def oid(name: str) -> int:
        return int(query(f"SELECT '{name}'::regclass::oid::bigint")[0][0])

    return oid


def found(target: Engine, name: str, schema: str | None, path: str = "s, o") -> dict[str, Any]:
    with target.connect() as connection:
        connection.exec_driver_sql(f"SET LOCAL search_path = {path}")
        row = sent(connection, "find_table", name=name, schema=schema).mappings().one_or_none()
        return {} if row is None else {key: row[key] for key in NAMES}


def plain(schema: str = "s", name: str = "t", **but: Any) -> dict[str, Any]:
    return {
        "schema": schema, "name": name, "kind": "r", "readable": True, "filtered": False,
        "referenced": False, "sifted": False, "heirs": None, "comment": None,
    } | but  # fmt: skip


def test_a_table_is_found_by_its_own_name_first_in_the_path(target: Engine, execute: Any) -> None:
    execute(NEIGHBOURS)
    full: dict[str, Any] = {"referenced": True, "sifted": True, "heirs": "o.heir", "comment": "o"}
    assert found(target, "t", "s") == plain()
    assert found(target, "t", None) == plain()
    assert found(target, "t", "o", path="o, s") | {"heirs": "o.heir"} == plain("o", **full)
    assert found(target, "t", None, path="o, s")["schema"] == "o"
    assert found(target, "t", None, path="public, s")["schema"] == "s"
    for name, schema in (("t", "public"), ("absent", "s"), ("t", "pg_temp"), ("heir", "public")):
        assert found(target, name, schema) == {}, (name, schema)
    assert found(target, "t", None, path="public") == {}


def test_a_temporary_table_is_found_where_it_is_asked_for(target: Engine, execute: Any) -> None:
    execute(NEIGHBOURS)
    with target.connect() as connection:
        connection.exec_driver_sql("SET search_path = s; CREATE TEMPORARY TABLE t (id int)")
        ask = {"name": "t"}
        oids = {
            schema: sent(connection, "find_table", schema=schema, **ask).mappings().one()["oid"]
            for schema in (None, "pg_temp", "s")
        }
        assert oids[None] == oids["pg_temp"] != oids["s"]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE TABLE s.child (id int REFERENCES s.t)", {"referenced": True}),
        ("ALTER TABLE s.t ADD COLUMN up int REFERENCES s.t", {}),
        ("ALTER TABLE s.t ADD COLUMN n int REFERENCES s.n", {}),
        (("CREATE TABLE s.heir_2 () INHERITS (s.t); ALTER TABLE s.heir_2 ADD PRIMARY KEY (id);"
         "CREATE TABLE s.child (id int REFERENCES s.heir_2);"
         "CREATE TABLE s.heir_1 () INHERITS (s.heir_2)"),
         {"referenced": True, "heirs": "s.heir_2, s.heir_1"}),
        ("CREATE TABLE s.heir_2 (up int REFERENCES s.t) INHERITS (s.t)", {"heirs": "s.heir_2"}),
        ("CREATE TRIGGER g BEFORE DELETE ON s.t FOR EACH ROW EXECUTE FUNCTION keep()",
         {"sifted": True}),
        ("CREATE TRIGGER g AFTER DELETE ON s.t FOR EACH ROW EXECUTE FUNCTION keep()", {}),
        ("CREATE TRIGGER g BEFORE DELETE ON s.t EXECUTE FUNCTION keep()", {}),
        (("CREATE TABLE s.heir_2 () INHERITS (s.t); CREATE TRIGGER g BEFORE INSERT ON s.heir_2"
         " FOR EACH ROW EXECUTE FUNCTION keep()"), {"sifted": True, "heirs": "s.heir_2"}),
        ("CREATE RULE r AS ON INSERT TO s.t DO INSTEAD NOTHING", {"sifted": True}),
        ("COMMENT ON TABLE s.t IS 'ours'", {"comment": "ours"}),
    ],
)  # fmt: skip
def test_what_a_table_has_itself_is_told(
    target: Engine, execute: Any, made: str, told: dict[str, Any]
) -> None:
    execute(NEIGHBOURS + "; ALTER TABLE s.t ADD PRIMARY KEY (id);" + made)
    assert found(target, "t", "s", path="public") == plain(**told)


def test_a_view_and_a_partitioned_table_are_told_as_such(target: Engine, execute: Any) -> None:
    execute(
        "CREATE SCHEMA s; CREATE VIEW s.v AS SELECT 1 AS id;"
        "CREATE MATERIALIZED VIEW s.m AS SELECT 1 AS id;"
        "CREATE TABLE s.p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE s.p_1 PARTITION OF s.p DEFAULT; CREATE TABLE s.c (id int REFERENCES s.p)"
    )
    assert found(target, "v", "s") == plain(name="v", kind="v", sifted=True)
    assert found(target, "m", "s") == plain(name="m", kind="m")
    assert found(target, "p", "s") == plain(name="p", kind="p", referenced=True)


def test_a_role_may_read_what_it_may_read_a_column_of_in_a_schema_that_it_may_use(
    target: Engine, execute: Any
) -> None:
    execute(NEIGHBOURS)
    execute(create_role("looks"))
    execute("ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON s.n, s.t TO looks;"
            "GRANT SELECT (id) ON o.t TO looks; GRANT USAGE ON SCHEMA o TO looks")  # fmt: skip
    with target.connect() as connection:
        connection.exec_driver_sql("SET ROLE looks")

        def told(schema: str, name: str) -> tuple[Any, ...]:
            row = sent(connection, "find_table", name=name, schema=schema).mappings().one()
            return row["role"], row["readable"], row["filtered"]

        assert told("s", "t") == ("looks", False, True)
        assert told("o", "t") == ("looks", True, False)
        assert told("o", "heir") == ("looks", False, False)


COLUMNS = """
CREATE SCHEMA s; CREATE TYPE s.text AS ENUM ();
CREATE TYPE s.mood AS ENUM ('ok'); CREATE DOMAIN s.short AS varchar(3);
CREATE TABLE s.t (gone int, id int GENERATED BY DEFAULT AS IDENTITY, price numeric(8, 2) DEFAULT 1,
    name text COLLATE "C" NOT NULL, mood s.mood, moods s.mood[], short s.short,
    twice int GENERATED ALWAYS AS (2) STORED, at interval, PRIMARY KEY (name, id));
ALTER TABLE s.t DROP COLUMN gone; COMMENT ON COLUMN s.t.price IS 'of t';
CREATE TABLE s.n (a int DEFAULT 11, b int DEFAULT 12, c int DEFAULT 13, d int DEFAULT 14,
    e int DEFAULT 15, f int DEFAULT 16, g int DEFAULT 17, h int DEFAULT 18, i int DEFAULT 19,
    PRIMARY KEY (a, b, c, d, e, f, g, h, i));
ALTER TABLE s.t ADD UNIQUE (price), ADD CHECK (price > 0), ADD UNIQUE (at);
COMMENT ON COLUMN s.n.b IS 'of n'; COMMENT ON COLUMN s.n.d IS 'of n'
"""


def test_columns_are_told_with_their_own_defaults_keys_and_comments(
    target: Engine, execute: Any, oid: Oid
) -> None:
    execute(COLUMNS)
    with target.connect() as connection:
        rows = sent(connection, "table_columns", oid=oid("s.t")).mappings().all()
    names = ("name", "type", "plain", "kind", "generated", "identity", "not_null", "default",
             "in_key", "comment", "collation")  # fmt: skip
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("id", "integer", None, "b", False, "d", True, None, True, None, None),
        ("price", "numeric(8,2)", None, "b", False, "", False, "1", False, "of t", None),
        ("name", "text", None, "b", False, "", True, None, True, None, 'pg_catalog."C"'),
        ("mood", "s.mood", "text", "e", False, "", False, None, False, None, None),
        ("moods", "s.mood[]", None, "b", False, "", False, None, False, None, None),
        (
            "short",
            "s.short",
            "character varying(3)",
            "d",
            False,
            "",
            False,
            None,
            False,
            None,
            None,
        ),
        ("twice", "integer", None, "b", True, "", False, None, False, None, None),
        ("at", "interval", None, "b", False, "", False, None, False, None, None),
    ]
    assert [row["has_default"] for row in rows] == [row["name"] == "price" for row in rows]
    assert {row["name"]: row["wire"] is not None for row in rows} == {
        "id": True, "price": True, "name": True, "mood": False, "moods": False, "short": False,
        "twice": True, "at": True}  # fmt: skip


def test_without_a_key_no_column_is_in_it_and_only_some_values_travel_in_their_binary_form(
    target: Engine, execute: Any, oid: Oid
) -> None:
    execute(COLUMNS + "; CREATE TABLE bare (x xml, own s.text, r regclass, at interval, i int)")
    with target.connect() as connection:
        rows = sent(connection, "table_columns", oid=oid("bare")).mappings().all()
        newer = connection.dialect.server_version_info >= (17,)  # type: ignore[operator]
    assert [row["in_key"] for row in rows] == [False] * 5
    infinite = "/infinite" if newer else ""
    assert [row["wire"] for row in rows] == [None, None, None, f"1186/-1{infinite}", "23/-1"]


def test_a_type_in_the_path_is_named_with_its_schema_too(
    target: Engine, execute: Any, oid: Oid
) -> None:
    execute(COLUMNS)
    with target.connect() as connection:
        connection.exec_driver_sql("SET LOCAL search_path = s")
        rows = sent(connection, "table_columns", oid=oid("s.t")).mappings().all()
    types = {row["name"]: row["type"] for row in rows}
    assert (types["mood"], types["moods"], types["id"]) == ("s.mood", "s.mood[]", "integer")


def test_only_keys_that_tell_each_row_apart_are_unique_keys(
    told: Told, execute: Any, oid: Oid
) -> None:
    execute(
        "CREATE TABLE t (gone int, b int, a int, c int, d int NOT NULL); ALTER TABLE t DROP gone;"
        "CREATE TABLE n (x int PRIMARY KEY, y int UNIQUE);"
        "CREATE UNIQUE INDEX ON t (a, b) INCLUDE (c);"
        "CREATE INDEX ON t (c); CREATE UNIQUE INDEX ON t (b) WHERE a > 0;"
        "CREATE UNIQUE INDEX ON t (c, (a + b)); ALTER TABLE t ADD UNIQUE (c) DEFERRABLE;"
        "ALTER TABLE t ADD PRIMARY KEY (d, c);"
        "CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p_1 PARTITION OF p DEFAULT;"
        "CREATE UNIQUE INDEX not_valid ON ONLY p (a)"
    )
    assert told("unique_keys", oid=oid("t")) == [(["d", "c"],), (["a", "b"],)]
    assert told("unique_keys", oid=oid("p")) == []


def test_only_promises_of_the_table_that_hold_are_its_checks(
    told: Told, execute: Any, oid: Oid
) -> None:
    execute(
        "CREATE TABLE t (gone int, a int CHECK (a > 0), b int UNIQUE REFERENCES t, PRIMARY KEY (a),"
        " UNIQUE (b)); ALTER TABLE t DROP gone; CREATE TABLE n (a int CHECK (a > 1), b int);"
        "ALTER TABLE t ADD CONSTRAINT late CHECK (b > 0) NOT VALID, ADD "
        " CONSTRAINT unlike CHECK (a <> b)"
    )
    checks = told("check_constraints", oid=oid("t"))
    assert [(name, body, sorted(columns)) for name, body, columns in checks] == [
        ("t_a_check", "CHECK ((a > 0))", ["a"]),
        ("unlike", "CHECK ((a <> b))", ["a", "b"]),
    ]
