"""The conditions of `missing` and `invalid`: which rows are as they must not be."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from headrace.errors import InvalidPayload
from headrace.jobs.tables.table_catalog import written_column
from headrace.template import RenderedSql, render

VALID = (
    "valid_values", "valid_min", "valid_max", "valid_min_length", "valid_max_length",
    "valid_regex", "valid_reference_data",
)  # fmt: skip
"""What a value may be; a row is invalid where its value breaks one of them."""


def missing(given: Mapping[str, Any]) -> RenderedSql:
    """Return the condition of rows without a value; some texts may stand for none."""
    column = _column(given["column"])
    texts = texts_of(given.get("missing_values", ()))
    return _rendered(
        "({{ column }} IS NULL{% if texts %} OR {{ column }}::text = ANY({{ texts }}){% endif %})",
        column=column,
        texts=texts,
    )


def invalid(given: Mapping[str, Any]) -> RenderedSql:
    """Return the condition of rows whose value is not valid; NULL is missing, not invalid."""
    column = _column(given["column"])
    parts = list(_broken_rules(column, given))
    text = "({{ column }} IS NOT NULL AND ({% for p in parts %}{{ p }}{% if not loop.last %} OR {% endif %}{% endfor %}))"  # noqa: E501
    return _rendered(text, column=column, parts=parts)


def refuse_rules(name: str, given: Mapping[str, Any]) -> None:
    """Refuse an `invalid` that says nothing of validity.

    Raises:
        InvalidPayload: saying what is wrong.
    """
    if not any(key in given for key in VALID):
        raise InvalidPayload(f"{name} needs one of {', '.join(VALID)}")
    values = given.get("valid_values")
    if values is not None and (not isinstance(values, list) or not present(values)):
        raise InvalidPayload(f"{name}: valid_values is a list of at least one value")
    reference = given.get("valid_reference_data")
    if reference is not None and (not isinstance(reference, str) or "." not in reference):
        raise InvalidPayload(
            f"{name}: valid_reference_data is a table with its column: dwh.customer.id"
        )


def present(values: Sequence[Any]) -> list[Any]:
    """Return values without null: a row without a value is missing, and never invalid."""
    return [one for one in values if one is not None]


def are_numbers(values: Sequence[Any]) -> bool:
    """Return whether values are compared as numbers, and not as texts."""
    return all(
        isinstance(one, int | float | Decimal) and not isinstance(one, bool)
        for one in present(values)
    )


def texts_of(values: Sequence[Any]) -> list[str]:
    """Return values as a database writes them."""
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in present(values)]


def _broken_rules(column: RenderedSql, given: Mapping[str, Any]) -> Iterator[RenderedSql]:
    if "valid_values" in given:
        yield _not_among(column, given["valid_values"])
    if "valid_min" in given:
        yield _rendered("{{ column }} < {{ value }}", column=column, value=given["valid_min"])
    if "valid_max" in given:
        yield _rendered("{{ column }} > {{ value }}", column=column, value=given["valid_max"])
    for key, sign in (("valid_min_length", "<"), ("valid_max_length", ">")):
        if key in given:
            text = f"length({{{{ column }}}}::text) {sign} {{{{ value }}}}"
            yield _rendered(text, column=column, value=given[key])
    if "valid_regex" in given:
        text = "{{ column }}::text !~ {{ value }}"
        yield _rendered(text, column=column, value=given["valid_regex"])
    if "valid_reference_data" in given:
        table, _, referred = given["valid_reference_data"].rpartition(".")
        yield _rendered(
            "NOT EXISTS (SELECT FROM {{ table | identifier }} AS reference"
            " WHERE reference.{{ referred | identifier }} = {{ column }})",
            table=table, referred=referred, column=column,
        )  # fmt: skip


def _not_among(column: RenderedSql, values: Sequence[Any]) -> RenderedSql:
    # Texts are compared with the text of the value, so that an enum's labels are, too.
    if are_numbers(values):
        return _rendered("{{ c }} <> ALL({{ values }})", c=column, values=present(values))
    return _rendered("{{ c }}::text <> ALL({{ values }})", c=column, values=texts_of(values))


def _column(name: str) -> RenderedSql:
    return _rendered("checked.{{ column }}", column=written_column(name))


def _rendered(text: str, **values: Any) -> RenderedSql:
    return render(text, values, name="checks")
