"""Spans, dates, JSON and scopes in templates: what comes out, and what is refused."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from headrace.errors import HeadraceError
from headrace.template import (
    has_word,
    leaves_session_state,
    makes_table_of_query,
    needs_autocommit,
    render,
    render_value,
    without_comments,
    words_of,
)
from headrace.template.printed import is_text, printed
from headrace.template.skeleton import skeletons

KNOWN: dict[str, Any] = {
    "day": date(2024, 3, 31),
    "at": datetime(2024, 3, 31, 12, 30, tzinfo=UTC),
    "naive": datetime(2024, 3, 31),
    "bare": timedelta(hours=3),
    "l": ["a", "b"],
    "d": {"k": 1},
    "n": 3,
}


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ day | iso }}", "2024-03-31"),
        ("{{ '2024-01-02' | iso }}", "2024-01-02T00:00:00"),
        ("{{ at | iso }}", "2024-03-31T12:30:00+00:00"),
        ("{{ naive - days(1) }}", "2024-03-30T00:00:00"),
        ("{{ days(1) + day }}", "2024-04-01"),
        ("{{ days(1) + at }}", "2024-04-01T12:30:00+00:00"),
        ("{{ days(1) - hours(2) }}", 79200.0),
        ("{{ days(1) + hours(2) }}", 93600.0),
        ("{{ +days(1) }}", 86400.0),
        ("{{ -days(1) }}", -86400.0),
        ("{{ days(1) * 2 }}", 172800.0),
        ("{{ 2 * hours(1) }}", 7200.0),
        ("{{ days(1) / 2 }}", 43200.0),
        ("{{ days(1) / hours(2) }}", 12.0),
        ("{{ days(1) // hours(5) }}", 4),
        ("{{ days(3) % days(2) }}", 86400.0),
        ("{{ bare - hours(1) }}", 7200.0),
        ("{{ hours(1) - bare }}", -7200.0),
        ("{{ bare + hours(1) }}", 14400.0),
        ("{{ at - at }}", 0.0),
        ("{{ days(1) | abs }}", 86400.0),
        ("{{ (hours(1) - hours(3)) | abs }}", 7200.0),
        ("{{ {'a': days(1), 'b': [1]} | tojson }}", '{"a": 86400.0, "b": [1]}'),
        ("{{ range(3) | tojson }}", "[0, 1, 2]"),
        ("{{ l | map('upper') | tojson }}", '["A", "B"]'),
        ("{{ at | tojson }}", '"2024-03-31T12:30:00+00:00"'),
        ("{{ {'a': 1, n: [n]} | length }}", 2),
        ("{% with a = 1, b = n %}{{ a + b }}{% endwith %}", "4"),
        (
            "{% for x in l %}{{ loop.cycle('o', 'e') }}{{ loop.changed(1) }};{% endfor %}",
            "oTrue;eFalse;",
        ),
        ("{% for k in [] %}{{ k }}{% else %}none{% endfor %}", "none"),
        ("{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}", "k=1"),
        ("{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "12"),
    ],
)
def test_a_template_makes_what_its_guide_says(template: str, made: Any) -> None:
    found = render_value(template, KNOWN)
    assert type(found) is type(made)
    assert found == made


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ 5 | date }}", r"5 is not a date: write it as 2026-01-31"),
        ("{{ 'x' | date }}", r"'x' is not a date: write it as 2026-01-31"),
        ("{{ 'x' | datetime }}", r"'x' is not a date: write it as 2026-01-31"),
        ("{{ day | add_months(1.5) }}", r"are added in whole numbers, not 1\.5"),
        ("{{ day | add_months(true) }}", r"are added in whole numbers, not True"),
        ("{{ day | add_years(9000) }}", r"the year 11024 is beyond 1 to 9999"),
        ("{{ day | add_years(-2024) }}", r"the year 0 is beyond 1 to 9999"),
        ("{{ day + hours(5) }}", r"2024-03-31 is a date, which has no hours"),
        ("{{ hours(5) + day }}", r"2024-03-31 is a date, which has no hours"),
        ("{{ hours(1) + 1 }}", r"for \+: 'Span' and 'int'"),
        ("{{ hours(1) - 1 }}", r"for -: 'Span' and 'int'"),
        ("{{ 1 - hours(1) }}", r"for -: 'int' and 'Span'"),
        ("{{ hours(1) * 'x' }}", r"TypeError"),
        ("{{ nope | tojson }}", r"'nope' is undefined"),
        ("{{ {'a': nope} | tojson }}", r"'nope' is undefined"),
        ("{{ 1 2 }}", r"chunk after expression"),
    ],
)
def test_what_makes_no_sense_is_refused_in_its_own_words(template: str, told: str) -> None:
    with pytest.raises(HeadraceError, match=told):
        render_value(template, KNOWN)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("a\x00", "NUL characters, or is over 1 MB"),
        ("a" * 1_000_001, "NUL characters, or is over 1 MB"),
        ("{{ text | inlist }}", "inlist needs a list, not 'abc'"),
        ("{{ d | inlist }}", "inlist needs a list, not {'k': 1}"),
        ("{{ nul }}", "a text contains a NUL character, which PostgreSQL cannot store"),
        ("{{ n | identifiers }}", "3 is not a list of identifiers"),
        ("{{ [] | names }}", "a list of identifiers is empty"),
    ],
)
def test_sql_that_cannot_be_sent_is_refused(template: str, told: str) -> None:
    with pytest.raises(HeadraceError, match=told):
        render(template, {**KNOWN, "text": "abc", "nul": "a\x00b"})


def test_one_name_is_a_list_of_one_and_an_infinite_number_a_text() -> None:
    assert render("{{ t | identifiers }}", {"t": "a.b"}).display == '"a"."b"'
    assert render("{{ t | names }}", {"t": "a.b"}).display == '"a.b"'
    assert render("{{ f }}", {"f": float("-inf")}).binds == {"p1": "-inf"}
    assert render("a" * 1_000_000, {}).display == "a" * 1_000_000


@pytest.mark.parametrize(
    ("sql", "is_one"),
    [
        ("CREATE TABLE s.t AS SELECT 1", True),
        ("create temp table if not exists t on commit drop as values (1)", True),
        ("CREATE MATERIALIZED VIEW v AS TABLE t", True),
        ("CREATE UNLOGGED TABLE t AS WITH x AS (SELECT 1) SELECT * FROM x", True),
        ("CREATE TABLE t (a int)", False),
        ("CREATE VIEW v AS SELECT 1", False),
        ("CREATE TABLE t AS EXECUTE q", False),
        ("SELECT 'CREATE TABLE t AS SELECT 1'", False),
    ],
)
def test_a_table_made_of_a_query_is_known(sql: str, is_one: bool) -> None:
    assert makes_table_of_query(sql) is is_one


@pytest.mark.parametrize(
    ("sql", "needs"),
    [
        ("DROP DATABASE d", True),
        ("CREATE TABLESPACE x LOCATION '/'", True),
        ("DROP SUBSCRIPTION s", True),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", True),
        ("REINDEX SCHEMA s", True),
        ("REINDEX SYSTEM d", True),
        ("ALTER DATABASE d SET TABLESPACE x", True),
        ("CLUSTER VERBOSE", True),
        ("ALTER DATABASE d SET work_mem = 1", False),
        ("ALTER TABLE t DETACH PARTITION p", False),
        ("DROP INDEX i", False),
    ],
)
def test_what_runs_outside_a_transaction_only_is_known(sql: str, needs: bool) -> None:
    assert needs_autocommit(sql) is needs


@pytest.mark.parametrize(
    ("sql", "leaves"),
    [
        ("DISCARD ALL", True),
        ("UNLISTEN x", True),
        ("LOAD 'auto_explain'", True),
        ("SELECT pg_try_advisory_lock_shared(1)", True),
        ("SELECT pg_advisory_xact_lock(1)", False),
        ("CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1", True),
        ("CREATE TEMP TABLE t (a int) ON COMMIT DROP", False),
        ("SET CONSTRAINTS ALL DEFERRED", False),
        ("SELECT 'set_config'", False),
    ],
)
def test_what_stays_in_a_session_is_known(sql: str, leaves: bool) -> None:
    assert leaves_session_state(sql) is leaves


def test_the_words_of_a_statement_are_its_code() -> None:
    sql = 'SELECT "A""b", Id -- from x\n FROM /* y */ t WHERE a = \'z\''
    assert words_of(sql) == {"select", 'A"b', "id", "from", "t", "where", "a"}
    assert without_comments(sql) == 'SELECT "A""b" , Id FROM t WHERE a = \'z\''
    assert [has_word(sql, word) for word in ("from", "T", "x", "y", "z")] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("template", "chains"),
    [
        ("{{ params.a ~ params.b }}", {("params", "a"), ("params", "b")}),
        ("{{ params.a | trim }}", {("params", "a")}),
        ("{{ params.a | default(params.b) }}", {("params", "a"), ("params", "b")}),
        ("{{ params.a | int }}", set()),
        ("{{ params.a + 1 }}", set()),
        ("{{ params.a if params.c else params.b }}", {("params", "a"), ("params", "b")}),
        ("{{ params.a or params.b }}", {("params", "a"), ("params", "b")}),
        ("{{ params.a and params.b }}", {("params", "a"), ("params", "b")}),
        ("{{ [params.a, (params.b, 1)] }}", {("params", "a"), ("params", "b")}),
        ("{% for x in params.l %}{{ x }}{% endfor %}", {("params", "l")}),
        (
            "{% for x in params.l %}{% for y in x %}{{ y }}{% endfor %}{% endfor %}",
            {("params", "l")},
        ),
        ("{% for x in [1] %}{{ x }}{% endfor %}", set()),
        ("{{ broken", set()),
    ],
)
def test_the_values_that_a_template_spells_are_known(template: str, chains: set[Any]) -> None:
    assert printed(template) == chains


def test_a_template_is_a_text_unless_it_is_one_expression_or_none_at_all() -> None:
    assert [is_text(one) for one in ("a{{ n }}", "{{ n }}", "{{ 'n }}", "a")] == [
        True,
        False,
        False,
        True,
    ]


def test_each_side_of_a_condition_is_seen_in_turn() -> None:
    found = [
        " ".join(one.marked.split())
        for one in skeletons("a {% if x %}b{% elif y %}c{% elif z %}d{% endif %} e")
    ]
    assert found == ["a b e", "a d e"]
    (no_else, one) = skeletons("a {% if x %}b{% endif %}")
    assert [no_else.marked.strip(), one.marked.strip()] == ["a b", "a"]
    assert list(skeletons("{% if")) == []
