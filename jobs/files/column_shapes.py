"""Reads the types of a table's columns: the value for a JSON value, and for ""."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from headrace.jobs.sql.packaged import execute, packaged_sql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Kind = Literal["scalar", "json", "array", "vector", "composite", "hstore"]

# In these categories of types no value is written as an empty text: numbers, times, spans,
# booleans, addresses, shapes, arrays, ranges, rows.
_NEVER_EMPTY = frozenset("NDTBIGARC")
_NEVER_EMPTY_EITHER = frozenset(("uuid", "json", "jsonb", "pg_lsn", "pg_snapshot"))
_WITH_A_DAY = ("date", "timestamp", "timestamptz")
_VECTORS = ("int2vector", "oidvector")


@dataclass(frozen=True, slots=True)
class Shape:
    """One type. `element` is that of an array, `fields` are those of a row.

    `never_empty`: an empty text is no value of it. `is_date`: it has a day.
    """

    kind: Kind = "scalar"
    element: "Shape | None" = None
    fields: tuple[tuple[str, "Shape"], ...] = ()
    delimiter: str = ","
    never_empty: bool = False
    is_date: bool = False


SCALAR = Shape()


def shapes_of(session: "Session", oid: int) -> dict[str, Shape]:
    """Return the shape of each column of the table with this oid."""
    found = execute(session, packaged_sql("type_shapes", oid=oid)).mappings()
    types: dict[int, Mapping[str, Any]] = {row["oid"]: dict(row) for row in found}
    columns = execute(session, packaged_sql("column_types", oid=oid))
    return {row.name: _shape(types, row.type) for row in columns}


def _shape(types: Mapping[int, Mapping[str, Any]], oid: int) -> Shape:
    row = types[oid]
    if row["kind"] == "d":
        return _shape(types, row["base"])
    never_empty = _never_empty(row)
    name, delimiter = row["name"], row["delimiter"]
    if name in _VECTORS:
        return Shape("vector")
    if row["category"] == "A" and row["element"]:
        element = types[row["element"]]
        return Shape(
            "array",
            _shape(types, row["element"]),
            delimiter=element["delimiter"] or delimiter,
            never_empty=never_empty,
        )
    if row["kind"] == "c":
        fields = zip(row["fields"], row["field_types"], strict=True)
        return Shape(
            "composite",
            fields=tuple((field, _shape(types, type_)) for field, type_ in fields),
            never_empty=never_empty,
        )
    if name in ("json", "jsonb"):
        return Shape("json", never_empty=never_empty)
    kind: Kind = "hstore" if name == "hstore" else "scalar"
    return Shape(kind, never_empty=never_empty, is_date=name in _WITH_A_DAY)


def _never_empty(row: Mapping[str, Any]) -> bool:
    if row["name"] in _VECTORS or row["has_empty_label"]:
        return False
    return (
        row["category"] in _NEVER_EMPTY or row["kind"] == "e" or row["name"] in _NEVER_EMPTY_EITHER
    )
