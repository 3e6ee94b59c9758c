"""Each key of a check takes what it says; another value is refused at the key."""

import re
from decimal import Decimal
from typing import Any

import pytest

from headrace.errors import InvalidPayload
from headrace.jobs.checks import conditions, other_conditions
from headrace.jobs.checks.declared_checks import checks_of
from headrace.jobs.others.sqlite_dialect import SqliteDialect
from headrace.template import RenderedSql

A_TEXT, A_VALUE = "is a text, not {!r}", "is one value, not {!r}"
A_LENGTH, A_SWITCH = "is a whole number, 0 or more, not {!r}", "is true or false, not {!r}"
NEEDED: dict[str, dict[str, Any]] = {
    "row_count": {},
    "freshness": {"column": "a", "must_be": 1},
    "missing": {"column": "a"},
    "duplicate": {"columns": ["a"]},
    "invalid": {"column": "a", "valid_min": 1},
    "aggregate": {"column": "a", "function": "sum", "must_be": 1},
    "metric": {"expression": "1", "name": "m", "must_be": 1},
    "failed_rows": {"expression": "a > 1"},
    "schema": {"columns": ["a"]},
    "compare": {"connection": None},
}
"""The least that each kind takes."""

TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("freshness", {"unit": "week"}),
    ("missing", {"missing_values": ["", None]}),
    ("missing", {"metric": "count"}),
    ("missing", {"column": "Order ID"}),
    ("duplicate", {"columns": "a"}),
    ("invalid", {"valid_min": "2026-01-01"}),
    ("invalid", {"valid_max": 2.5}),
    ("invalid", {"valid_min_length": 0, "valid_max_length": "3"}),
    ("invalid", {"valid_min_length": 2.0, "valid_max_length": Decimal("3.0")}),
    ("invalid", {"valid_regex": "^a", "valid_values": ["a", None], "metric": "percent"}),
    ("invalid", {"valid_reference_data": "t.id"}),
    ("schema", {"columns": {"a": None, "b": "text"}, "allow_extra_columns": True}),
    ("schema", {"allow_other_column_order": False}),
    ("compare", {"connection": "c", "query": "select 1", "metric": "checksum"}),
    ("metric", {"deviation": {"runs": 2, "must_be_less_than": "3%"}}),
]

REFUSED: list[tuple[str, str, Any, str]] = [
    ("freshness", "column", 5, A_TEXT),
    ("freshness", "unit", ["day"], A_TEXT),
    ("missing", "column", None, A_TEXT),
    ("missing", "missing_values", "n/a", "is a list of values, not 'n/a'"),
    ("missing", "metric", ["count"], A_TEXT),
    ("invalid", "column", ["a"], A_TEXT),
    ("invalid", "valid_min", None, A_VALUE),
    ("invalid", "valid_min", [1], A_VALUE),
    ("invalid", "valid_max", {"a": 1}, A_VALUE),
    ("invalid", "valid_min_length", "x", A_LENGTH),
    ("invalid", "valid_min_length", -1, A_LENGTH),
    ("invalid", "valid_min_length", 1.5, A_LENGTH),
    ("invalid", "valid_max_length", True, A_LENGTH),
    ("invalid", "valid_regex", 5, A_TEXT),
    ("aggregate", "column", 5, A_TEXT),
    ("aggregate", "function", ["sum"], A_TEXT),
    ("metric", "expression", 1, A_TEXT),
    ("failed_rows", "expression", True, A_TEXT),
    ("schema", "allow_extra_columns", "false", A_SWITCH),
    ("schema", "allow_other_column_order", 0, A_SWITCH),
    ("compare", "connection", 5, "is a text, or null, not 5"),
    ("compare", "query", 5, A_TEXT),
    ("compare", "metric", None, A_TEXT),
]


@pytest.mark.parametrize(("kind", "keys"), [*NEEDED.items(), *TAKEN])
def test_a_key_of_a_check_takes_what_it_says(kind: str, keys: dict[str, Any]) -> None:
    (found,) = checks_of([{kind: NEEDED[kind] | keys}], "t")

    own = NEEDED[kind] | keys
    assert found.given == {key: own[key] for key in own if key not in ("name", "must_be")}


@pytest.mark.parametrize(("kind", "key", "value", "told"), REFUSED)
def test_another_value_of_a_key_is_refused(kind: str, key: str, value: Any, told: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        checks_of([{"row_count": None}, {kind: NEEDED[kind] | {key: value}}], "t")

    assert str(refused.value) == f"checks[1]: {kind}: {key} {told.format(value)}"


@pytest.mark.parametrize(
    ("kind", "keys", "told"),
    [
        ("duplicate", {"columns": {"a": 1}}, "needs columns, as in columns: [order_id]"),
        ("schema", {"columns": [1]}, "needs columns, as in columns: {id: bigint, name: text}"),
        ("schema", {"columns": {1: "a"}}, "needs columns, as in columns: {id: bigint, name: text}"),
        ("schema", {"columns": {"a": 5}}, "needs columns, as in columns: {id: bigint, name: text}"),
        ("invalid", {"valid_values": [None]}, "valid_values is a list of at least one value"),
        (
            "metric",
            {"deviation": {"run": 3, "must_be_less_than": "3%"}},
            'deviation has no key "run"; did you mean "runs"?',
        ),
    ],
)
def test_what_a_list_or_mapping_of_a_check_must_not_hold(
    kind: str, keys: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidPayload) as refused:
        checks_of([{kind: NEEDED[kind] | keys}], "t")

    assert str(refused.value).removeprefix(f"checks[0]: {kind}").lstrip(": ") == told


RULES: list[tuple[dict[str, Any], str, str, list[Any]]] = [
    (
        {"valid_values": ["new", None, True]},
        "{a}::text <> ALL({p})",
        "CAST({a} AS TEXT) NOT IN ({p}, {p})",
        ["new", "true"],
    ),
    ({"valid_values": [1, 2.5, None]}, "{a} <> ALL({p})", "{a} NOT IN ({p}, {p})", [1, 2.5]),
    ({"valid_values": [True]}, "{a}::text <> ALL({p})", "CAST({a} AS TEXT) NOT IN ({p})", ["true"]),
    (
        {"valid_min": 1, "valid_max": 9},
        "{a} < {p} OR {a} > {p}",
        "{a} < {p} OR {a} > {p}",
        [1, 9],
    ),
    (
        {"valid_min_length": 2, "valid_max_length": 3},
        "length({a}::text) < {p} OR length({a}::text) > {p}",
        "length(CAST({a} AS TEXT)) < {p} OR length(CAST({a} AS TEXT)) > {p}",
        [2, 3],
    ),
    ({"valid_regex": "^a$"}, "{a}::text !~ {p}", "NOT (CAST({a} AS TEXT) REGEXP {p})", ["^a$"]),
    (
        {"valid_reference_data": "dwh.c.id"},
        'NOT EXISTS (SELECT FROM "dwh"."c" AS reference WHERE reference."id" = {a})',
        'NOT EXISTS (SELECT 1 FROM "dwh"."c" AS reference WHERE reference."id" = {a})',
        [],
    ),
]


@pytest.mark.parametrize(("given", "ours", "others", "values"), RULES)
def test_each_rule_is_a_condition_that_broken_rows_meet(
    given: dict[str, Any], ours: str, others: str, values: list[Any]
) -> None:
    here = conditions.invalid({"column": "a", **given})
    there = other_conditions.invalid(SqliteDialect(), {"column": '"a"', **given})

    for found, words in ((here, ours), (there, others)):
        told = words.format(a='checked."a"', p="?")
        assert _marked(found) == f'(checked."a" IS NOT NULL AND ({told}))'
        assert _values(found) == values


def test_texts_that_stand_for_no_value_are_those_that_a_database_writes() -> None:
    given = {"column": "a", "missing_values": ["", None, False, 5]}
    here, there = conditions.missing(given), other_conditions.missing(SqliteDialect(), given)

    assert _marked(here) == '(checked."a" IS NULL OR checked."a"::text = ANY(?))'
    assert _marked(there) == '(checked."a" IS NULL OR CAST(checked."a" AS TEXT) IN (?, ?, ?))'
    assert _values(here) == _values(there) == ["", "false", "5"]
    for missing in (
        conditions.missing({"column": "a"}),
        other_conditions.missing(SqliteDialect(), {"column": "a", "missing_values": [None]}),
    ):
        assert (_marked(missing), _values(missing)) == ('(checked."a" IS NULL)', [])


def _marked(condition: RenderedSql) -> str:
    return re.sub(r":p\d+", "?", condition.display)


def _values(condition: RenderedSql) -> list[Any]:
    found: list[Any] = []
    for value in condition.binds.values():
        found += value if isinstance(value, list) else [value]
    return found
