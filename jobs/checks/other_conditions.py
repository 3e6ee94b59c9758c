"""The conditions of `missing` and `invalid` in the SQL of other databases than PostgreSQL."""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.jobs.checks.conditions import are_numbers, present, texts_of
from headrace.jobs.others.dialect import Dialect
from headrace.jobs.tables.table_catalog import unquoted
from headrace.template import RenderedSql, quote_name, render


def missing(dialect: Dialect, given: Mapping[str, Any]) -> RenderedSql:
    """Return the condition of rows without a value; some texts may stand for none."""
    column = _column(given["column"])
    texts = texts_of(given.get("missing_values", ()))
    return _rendered(
        "({{ column }} IS NULL{% if texts %} OR {{ kept }} IN {{ texts | inlist }}{% endif %})",
        column=column,
        kept=_as_text(dialect, column),
        texts=texts,
    )


def invalid(dialect: Dialect, given: Mapping[str, Any]) -> RenderedSql:
    """Return the condition of rows whose value is not valid; NULL is missing, not invalid."""
    column = _column(given["column"])
    parts = list(_broken_rules(dialect, column, given))
    text = (
        "({{ column }} IS NOT NULL AND ({% for p in parts %}{{ p }}"
        "{% if not loop.last %} OR {% endif %}{% endfor %}))"
    )
    return _rendered(text, column=column, parts=parts)


def _broken_rules(
    dialect: Dialect, column: RenderedSql, given: Mapping[str, Any]
) -> Iterator[RenderedSql]:
    text = _as_text(dialect, column)
    if "valid_values" in given:
        yield _not_among(column, text, given["valid_values"])
    for key, sign in (("valid_min", "<"), ("valid_max", ">")):
        if key in given:
            yield _rendered(f"{{{{ c }}}} {sign} {{{{ value }}}}", c=column, value=given[key])
    for key, sign in (("valid_min_length", "<"), ("valid_max_length", ">")):
        if key in given:
            length = dialect.length.format("{{ c }}")
            yield _rendered(f"{length} {sign} {{{{ value }}}}", c=text, value=given[key])
    if "valid_regex" in given:
        matches = dialect.matches.format("{{ c }}", "{{ value }}")
        yield _rendered(f"NOT ({matches})", c=text, value=given["valid_regex"])
    if "valid_reference_data" in given:
        table, _, referred = given["valid_reference_data"].rpartition(".")
        yield _rendered(
            "NOT EXISTS (SELECT 1 FROM {{ table | identifier }} AS reference"
            " WHERE reference.{{ referred | identifier }} = {{ column }})",
            table=table, referred=referred, column=column,
        )  # fmt: skip


def _not_among(column: RenderedSql, text: RenderedSql, values: list[Any]) -> RenderedSql:
    if are_numbers(values):
        return _rendered("{{ c }} NOT IN {{ values | inlist }}", c=column, values=present(values))
    return _rendered("{{ c }} NOT IN {{ values | inlist }}", c=text, values=texts_of(values))


def _as_text(dialect: Dialect, column: RenderedSql) -> RenderedSql:
    return RenderedSql(dialect.as_text.format(column.marked), {})


def _column(name: str) -> RenderedSql:
    return RenderedSql(f"checked.{quote_name(unquoted(name))}", {})


def _rendered(text: str, **values: Any) -> RenderedSql:
    return render(text, values, name="checks")
