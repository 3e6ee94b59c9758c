"""Which statements are seen only to append rows of given values."""

import datetime
from decimal import Decimal
from typing import Any

import pytest

from headrace.store.appending import appended_table

pglast = pytest.importorskip("pglast")

_APPENDS = (
    ("INSERT INTO t VALUES (1)", "t"),
    ("insert into app.t (a, b) values (%(p1)s, 'x''y'), (%(p2)s, NULL) ;\n", "app.t"),
    ('INSERT INTO "A b"."T" ("c d") VALUES (DEFAULT)', '"A b"."T"'),
    ("INSERT INTO t (a) VALUES ((%(p1)s)::uuid) ON CONFLICT DO NOTHING", "t"),
    ("INSERT INTO t VALUES (-1.5, TRUE, 'unknown', 'snow', %(p1)s::timestamptz)", "t"),
)
_DOES_MORE = (
    "INSERT INTO t VALUES (now())",
    "INSERT INTO t VALUES (CURRENT_TIMESTAMP)",
    "INSERT INTO t VALUES ('now')",
    "INSERT INTO t VALUES (' Today 10:00')",
    "INSERT INTO t VALUES (1) RETURNING a",
    "INSERT INTO t SELECT 1",
    "INSERT INTO t VALUES ((SELECT 1))",
    "INSERT INTO t VALUES (1 + 1)",
    "INSERT INTO t VALUES (f(1))",
    "INSERT INTO t VALUES (1::mine)",
    "INSERT INTO t VALUES (1::app.uuid)",
    "INSERT INTO t VALUES (E'a\\'', 1)",
    "INSERT INTO t VALUES ('a' 'b')",
    "INSERT INTO t VALUES ($$a$$)",
    "INSERT INTO t VALUES (a)",
    "INSERT INTO t DEFAULT VALUES",
    "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
    "INSERT INTO t VALUES (1); INSERT INTO u VALUES (1)",
    "INSERT INTO t VALUES (1); COMMIT",
    "WITH x AS (SELECT 1) INSERT INTO t VALUES (1)",
    "INSERT INTO a.b.c VALUES (1)",
    "INSERT INTO t VALUES (1) -- a comment",
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "SELECT 1",
    "",
)
_PLAIN = (
    1, 1.5, True, None, Decimal("1.10"), "text", "I know", datetime.date(2026, 1, 1),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.time(1, 2),
)  # fmt: skip


@pytest.mark.parametrize(("sql", "table"), _APPENDS)
def test_an_insert_of_values_appends_to_the_table_that_it_names(sql: str, table: str) -> None:
    assert appended_table(sql, {"p1": "5", "p2": None}) == table

    # PostgreSQL's own parser agrees: one statement, which computes and reads nothing.
    (parsed,) = pglast.parse_sql(sql.replace("%(p1)s", "'5'").replace("%(p2)s", "NULL"))
    assert type(parsed.stmt).__name__ == "InsertStmt"
    assert not any(
        getattr(parsed.stmt, name, None) for name in ("returningList", "returningClause")
    )
    found: set[str] = set()
    _kinds(parsed.stmt.selectStmt, found)
    values = {"A_Const", "Integer", "Float", "String", "Boolean", "SetToDefault"}
    assert found <= values | {"SelectStmt", "TypeCast", "TypeName"}


def _kinds(node: Any, found: set[str]) -> None:
    if isinstance(node, tuple):
        for one in node:
            _kinds(one, found)
    elif isinstance(node, pglast.ast.Node):
        found.add(type(node).__name__)
        for name in node:
            _kinds(getattr(node, name), found)


@pytest.mark.parametrize("sql", _DOES_MORE)
def test_whatever_may_do_more_is_not_taken_for_one(sql: str) -> None:
    assert appended_table(sql, {}) is None


@pytest.mark.parametrize("value", _PLAIN)
def test_values_that_mean_the_same_at_any_time_are_appended(value: object) -> None:
    assert appended_table("INSERT INTO t VALUES (%(p1)s)", {"p1": value}) == "t"


@pytest.mark.parametrize(
    "value", ["now", " NOW ", "tomorrow 10:00", "yesterday", [1], {"a": 1}, b"x"]
)
def test_a_value_that_may_mean_the_beginning_of_the_transaction_is_not(value: object) -> None:
    assert appended_table("INSERT INTO t VALUES (%(p1)s)", {"p1": value}) is None


def test_a_statement_of_great_length_is_not_looked_at() -> None:
    rows = ", ".join(["(1)"] * 4000)

    assert appended_table(f"INSERT INTO t VALUES {rows}", {}) is None
