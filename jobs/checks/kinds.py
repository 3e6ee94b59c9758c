"""The kinds of checks: their keys, their bounds, and the statement that measures each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.errors import InvalidPayload
from headrace.errors.suggestions import did_you_mean
from headrace.jobs.checks import conditions
from headrace.jobs.checks.bounds import WORDS, Bound, bound_of, exactly, more_than
from headrace.jobs.checks.check import Check
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.table_catalog import written_column
from headrace.template import RenderedSql, render

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_FUNCTIONS = {
    "sum": "sum({})", "avg": "avg({})", "min": "min({})", "max": "max({})",
    "count": "count({})", "count_distinct": "count(DISTINCT {})",
}  # fmt: skip
_OF_DEVIATION = ("runs", *WORDS)

Given = Mapping[str, Any]


def _accept(_name: str, _given: Given) -> None:
    pass


def _at_least_none(_check: Check) -> Bound | None:
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """What a check of one kind takes, and how its value is measured.

    `statement` measures it, where one statement can; `condition` finds the rows that fail.
    `default_of` is the bound where none is declared, None where one is needed.
    """

    keys: tuple[str, ...]
    required: tuple[str, ...] = ()
    refuse: Callable[[str, Given], None] = _accept
    default_of: Callable[[Check], Bound | None] = _at_least_none
    unit_of: Callable[[Check], str] = lambda _check: ""
    name_of: Callable[[Check], str] = lambda check: f"{check.kind} of {check.table}"
    statement: Callable[[Check], RenderedSql] | None = None
    condition: Callable[[Check], RenderedSql] | None = None
    needs_table: Callable[[Given], bool] = lambda _given: True


def columns_of(given: Given) -> list[str]:
    """Return the columns that a `duplicate` speaks of."""
    columns = given.get("columns", given.get("column"))
    return [columns] if isinstance(columns, str) else list(columns or ())


def seconds_of(given: Given) -> int:
    """Return the seconds of the unit in which a `freshness` counts."""
    return _SECONDS[given.get("unit", "hour")]


def deviation_of(given: Given, name: str) -> tuple[int, Bound] | None:
    """Return how many earlier runs a metric is compared with, and by how much it may differ.

    Raises:
        InvalidPayload: `deviation` is none.
    """
    deviation = given.get("deviation")
    if deviation is None:
        return None
    runs = deviation.get("runs", 14) if isinstance(deviation, Mapping) else 0
    if isinstance(runs, bool) or not isinstance(runs, int) or not 1 <= runs <= 1000:
        raise InvalidPayload(
            f"{name}: deviation takes runs (1 to 1000) and a bound, as in "
            "{runs: 14, must_be_less_than: 30%}"
        )
    for key in deviation:
        if key not in _OF_DEVIATION:
            raise InvalidPayload(
                f'{name}: deviation has no key "{key}"; '
                + did_you_mean(str(key), _OF_DEVIATION, listed_as="it takes")
            )
    return runs, bound_of(deviation, name=f"{name}: deviation", unit="%")


def _none(_check: Check) -> Bound:
    return exactly(0)


def _some(_check: Check) -> Bound:
    return more_than(0)


def _percent(check: Check) -> str:
    return "%" if check.in_percent else ""


def _named(check: Check) -> str:
    columns = ", ".join(columns_of(check.given))
    return f"{check.kind} {columns} of {check.table}"


def _metric_of_rows(name: str, given: Given) -> None:
    if given.get("metric", "count") not in ("count", "percent"):
        raise InvalidPayload(f"{name}: metric is count or percent, not {given['metric']!r}")


def _invalid(name: str, given: Given) -> None:
    _metric_of_rows(name, given)
    conditions.refuse_rules(name, given)


def _duplicate(name: str, given: Given) -> None:
    _metric_of_rows(name, given)
    written = given.get("columns", given.get("column"))
    columns = columns_of(given) if isinstance(written, str | list | tuple) else []
    if not columns or not all(isinstance(one, str) for one in columns):
        raise InvalidPayload(f"{name} needs columns, as in columns: [order_id]")


def _freshness(name: str, given: Given) -> None:
    if given.get("unit", "hour") not in _SECONDS:
        raise InvalidPayload(f"{name}: unit is one of {', '.join(_SECONDS)}")


def _aggregate(name: str, given: Given) -> None:
    if given["function"] not in _FUNCTIONS:
        raise InvalidPayload(f"{name}: function is one of {', '.join(_FUNCTIONS)}")


def _failed_rows(name: str, given: Given) -> None:
    if ("query" in given) == ("expression" in given):
        raise InvalidPayload(f"{name} takes either a query or an expression")


def _schema(name: str, given: Given) -> None:
    columns = given["columns"]
    types = columns.values() if isinstance(columns, dict) else ()
    if (
        not isinstance(columns, list | dict)
        or not columns
        or not all(isinstance(one, str) for one in columns)
        or not all(one is None or isinstance(one, str) for one in types)
    ):
        raise InvalidPayload(f"{name} needs columns, as in columns: {{id: bigint, name: text}}")


def _metric(name: str, given: Given) -> None:
    deviation_of(given, name)


def _compare(name: str, given: Given) -> None:
    if ("table" in given) and ("query" in given):
        raise InvalidPayload(f"{name} takes either a table or a query")
    if given.get("metric", "count") not in ("count", "checksum"):
        raise InvalidPayload(f"{name}: metric is count or checksum, not {given['metric']!r}")


def _condition(check: Check, condition: RenderedSql) -> RenderedSql:
    return packaged_sql("check_condition", rows=check.rows, condition=condition)


def _piece(text: str) -> RenderedSql:
    return RenderedSql(f"({text}\n)", {})


def _duplicates(check: Check) -> RenderedSql:
    columns = [written_column(one) for one in columns_of(check.given)]
    return packaged_sql("check_duplicates", rows=check.rows, columns=columns)


def _age(check: Check) -> RenderedSql:
    return packaged_sql(
        "check_freshness",
        rows=check.rows,
        column=written_column(check.given["column"]),
        seconds=seconds_of(check.given),
    )


def _aggregated(check: Check) -> RenderedSql:
    function = _FUNCTIONS[check.given["function"]]
    text = function.format("{{ column }}")
    column = written_column(check.given["column"])
    expression = render(text, {"column": column}, name="checks")
    return packaged_sql("check_value", rows=check.rows, expression=expression)


def _expressed(check: Check) -> RenderedSql:
    expression = RenderedSql(check.given["expression"], {})
    return packaged_sql("check_value", rows=check.rows, expression=expression)


def _failing(check: Check) -> RenderedSql:
    return _piece(check.given["expression"])


_ROWS = ("metric",)

KINDS: dict[str, Kind] = {
    "row_count": Kind(
        (),
        default_of=_some,
        statement=lambda check: packaged_sql("check_count", rows=check.rows),
    ),
    "freshness": Kind(
        ("column", "unit"),
        ("column",),
        _freshness,
        unit_of=lambda check: f" {check.given.get('unit', 'hour')}s",
        name_of=_named,
        statement=_age,
    ),
    "missing": Kind(
        ("column", "missing_values", *_ROWS),
        ("column",),
        _metric_of_rows,
        _none,
        _percent,
        _named,
        lambda check: _condition(check, conditions.missing(check.given)),
        lambda check: conditions.missing(check.given),
    ),
    "duplicate": Kind(
        ("columns", "column", *_ROWS), (), _duplicate, _none, _percent, _named, _duplicates
    ),
    "invalid": Kind(
        ("column", *conditions.VALID, *_ROWS),
        ("column",),
        _invalid,
        _none,
        _percent,
        _named,
        lambda check: _condition(check, conditions.invalid(check.given)),
        lambda check: conditions.invalid(check.given),
    ),
    "aggregate": Kind(
        ("column", "function"),
        ("column", "function"),
        _aggregate,
        name_of=lambda check: (
            f"{check.given['function']} of {check.given['column']} of {check.table}"
        ),
        statement=_aggregated,
    ),
    "metric": Kind(
        ("expression", "deviation"),
        ("expression", "name"),
        _metric,
        lambda check: Bound(()) if "deviation" in check.given else None,
        statement=_expressed,
    ),
    "failed_rows": Kind(
        ("query", "expression"),
        (),
        _failed_rows,
        _none,
        name_of=lambda check: _of(check) if "expression" in check.given else "failed_rows",
        condition=_failing,
        needs_table=lambda given: "expression" in given,
    ),
    "schema": Kind(
        ("columns", "allow_extra_columns", "allow_other_column_order"),
        ("columns",),
        _schema,
        _none,
    ),
    "compare": Kind(
        ("connection", "table", "query", "metric"),
        ("connection",),
        _compare,
        _none,
        name_of=lambda check: f"compare {check.table} with {check.given['connection']}",
    ),
}
"""Name → kind, in the order in which they are told."""


def _of(check: Check) -> str:
    return f"{check.kind} of {check.table}"
