"""What a session's role may use, and which functions and sequences a statement reaches."""

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.support.roles import create_role
from tests.support.statements import Told, sent


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["writes"], True),
        (["s_writes"], True),
        (["nextval"], True),
        (["reads"], False),
        (["random"], False),
        (["pg_sleep", "clock_timestamp", "absent"], False),
        (["reads", "writes"], True),
        (["timeofday"], True),
        ([], False),
    ],
)
def test_only_a_function_that_may_write_does_more_than_read(
    told: Told, execute: Any, words: list[str], more: bool
) -> None:
    """A function of the user's own is one, whatever the server calls its own."""
    execute(
        "CREATE SCHEMA s; CREATE FUNCTION writes() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';"
        "CREATE FUNCTION s.s_writes() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';"
        "CREATE FUNCTION s.timeofday() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';"
        "CREATE FUNCTION reads() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'"
    )
    assert told("calls_volatile", words=words) == [(more,)]


def test_sequences_are_those_of_the_tables_own_columns(
    told: Told, target: Engine, execute: Any, query: Any
) -> None:
    execute(create_role("moves"))
    execute(
        "CREATE SCHEMA s; CREATE SEQUENCE free; CREATE SEQUENCE s.down INCREMENT -2 MINVALUE -9;"
        "CREATE TABLE t (gone int, a int GENERATED ALWAYS AS IDENTITY, b bigserial,"
        " c smallint DEFAULT nextval('s.down'), d text DEFAULT nextval('free'),"
        " e int DEFAULT 5, f int DEFAULT nextval('free') * 2);"
        "ALTER TABLE t DROP gone; CREATE INDEX ON t (e); CREATE VIEW v AS SELECT a, b FROM t;"
        "CREATE TABLE n (a int GENERATED ALWAYS AS IDENTITY, b bigserial, e serial);"
        "GRANT UPDATE ON t_a_seq TO moves; GRANT SELECT, UPDATE ON t_b_seq TO moves;"
        "GRANT SELECT ON s.down TO moves"
    )
    ((oid,),) = query("SELECT 't'::regclass::oid::bigint")
    expected = [
        ("public", "free", "f", False, 2**63 - 1),
        ("public", "t_a_seq", "a", False, 2**31 - 1),
        ("public", "t_b_seq", "b", False, 2**63 - 1),
        ("s", "down", "c", True, -9),
    ]
    columns = ["a", "b", "c", "d", "e", "f", "gone"]
    rows = sorted(row[1:] for row in told("sequences_of", oid=oid, columns=columns))
    assert rows == [(*one, True) for one in expected]
    only = told("sequences_of", oid=oid, columns=["b"])
    assert [row[2] for row in only] == ["t_b_seq"]
    with target.connect() as connection:
        connection.exec_driver_sql("SET ROLE moves")
        rows = [tuple(row) for row in sent(connection, "sequences_of", oid=oid, columns=columns)]
    assert {row[2]: row[6] for row in rows} == {
        "free": False, "t_a_seq": False, "t_b_seq": True, "down": False}  # fmt: skip


def test_a_role_is_told_what_it_may_do_with_the_records_of_its_schema(
    target: Engine, execute: Any
) -> None:
    execute(create_role("keeps"))
    execute(
        "CREATE SCHEMA s; CREATE SCHEMA o; CREATE SCHEMA c; CREATE TABLE s.t ();"
        "CREATE TABLE o.t (); "
        "CREATE TABLE s.n (); GRANT USAGE ON SCHEMA s TO keeps; GRANT CREATE ON SCHEMA c TO keeps;"
        "GRANT SELECT, INSERT ON s.t TO keeps; GRANT SELECT ON s.n TO keeps;"
        "GRANT SELECT, INSERT ON o.t TO keeps"
    )
    with target.connect() as connection:
        connection.exec_driver_sql("SET ROLE keeps")

        def may(schema: str, table: str) -> tuple[Any, ...] | None:
            given = {"schema": schema, "table": table, "rights": ["SELECT", "INSERT"]}
            row = sent(connection, "record_rights", **given).one_or_none()
            return None if row is None else tuple(row)

        # May use the schema, may make tables in it; the table is there, and usable.
        assert may("s", "t") == ("keeps", True, False, True, True)
        assert may("s", "n") == ("keeps", True, False, True, False)
        assert may("s", "absent") == ("keeps", True, False, False, False)
        assert may("o", "t") == ("keeps", False, False, True, False)
        assert may("c", "t") == ("keeps", False, False, False, False)
        assert may("absent", "t") is None
        state = {name: sent(connection, "schema_state", schema=name).one() for name in ("s", "no")}
    assert [(name, row.there, row.role) for name, row in state.items()] == [
        ("s", True, "keeps"), ("no", False, "keeps")]  # fmt: skip


@pytest.mark.parametrize("granted", [None, "USAGE", "CREATE"])
def test_a_role_may_stage_in_headraces_schema_or_where_there_is_none(
    target: Engine, execute: Any, granted: str | None
) -> None:
    execute(create_role("stages"))
    execute("CREATE SCHEMA s; GRANT CREATE ON SCHEMA s TO stages")
    if granted is not None:
        execute(f"CREATE SCHEMA headrace; GRANT {granted} ON SCHEMA headrace TO stages")
    with target.connect() as connection:
        connection.exec_driver_sql("SET ROLE stages")
        assert tuple(sent(connection, "may_stage").one()) == ("stages", granted != "USAGE")


def test_a_temporary_table_is_one_of_this_session(target: Engine, execute: Any) -> None:
    execute("CREATE TABLE t (id int)")
    with target.connect() as other, target.connect() as connection:
        other.exec_driver_sql("CREATE TEMPORARY TABLE u (id int)")
        connection.exec_driver_sql("CREATE TEMPORARY TABLE w (id int)")
        there = {name: sent(connection, "temporary_table", name=name).scalar() for name in "tuwx"}
    assert there == {"t": False, "u": False, "w": True, "x": False}
