"""Reads the types of a table's columns: the value for a JSON value, and for ""."""

from collections.abc import Iterator, Mapping
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
    columns = execute(session, packaged_sql("column_types", oid=oid)).all()
    types = _types(session, {row.type for row in columns})
    return {row.name: _shape(types, row.type) for row in columns}


def _types(session: "Session", wanted: set[int]) -> dict[int, Mapping[str, Any]]:
    """Return types by their oid, with those that they are made of."""
    types: dict[int, Mapping[str, Any]] = {}
    while wanted:
        asked = packaged_sql("type_shapes", oids=sorted(wanted))
        found = [dict(row) for row in execute(session, asked).mappings()]
        types |= {row["oid"]: row for row in found}
        wanted = {part for row in found for part in _parts(row)} - types.keys()
    return types


def _parts(row: Mapping[str, Any]) -> Iterator[int]:
    """Yield the types that one is made of: a domain's base, an array's element, a row's fields."""
    if row["base"]:
        yield row["base"]
    if row["category"] == "A" and row["element"]:
        yield row["element"]
    yield from row["field_types"]


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
