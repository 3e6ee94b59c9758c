"""Reads the columns of a query, and says how each is selected for a file."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import Column
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

JSON_NULL = " of JSON in column #"
"""What an error of COPY holds, before the column's place, where a value is JSON's null."""

_OF_NUMBER = 1700


@dataclass(frozen=True, slots=True)
class Exported:
    """A column of the query, as it is selected in several ways."""

    name: str
    plain: str
    of_json: str
    guarded: str
    column: Column


def described(session: "Session", query: RenderedSql) -> list[Exported]:
    """Return the query's columns; it is planned, and not run.

    Raises:
        JobFailure: it has no columns, or two of one name.
    """
    cursor = execute(session, packaged_sql("described", query=query))
    assert cursor.cursor is not None, "a SELECT has a description"
    columns = list(cursor.cursor.description)
    cursor.close()
    if not columns:
        raise JobFailure("the query has no columns: there is nothing to export")
    name, times = Counter(column[0] for column in columns).most_common(1)[0]
    if times > 1:
        raise JobFailure(
            f"the query has {times} columns called {name!r}: give each a different name (AS …)"
        )
    oids = [column[1] for column in columns]
    rows = execute(session, packaged_sql("exported_types", oids=oids))
    known = {row.oid: row for row in rows}
    return [_exported(column, known[column[1]], at) for at, column in enumerate(columns)]


def _exported(column: Any, type_: Any, place: int) -> Exported:
    name, quoted = column[0], quote_name(column[0])
    written = type_.type
    if column[1] == _OF_NUMBER and column[4] and column[4] <= 1000:
        written = f"numeric({column[4]},{column[5] or 0})"
    plain = f"exported.{quoted}"
    guarded = plain
    if type_.category == "S":
        guarded = (
            f"CASE WHEN {plain}::text ~ '^[=+@\\t\\r-]' THEN '''' || {plain}::text "
            f"ELSE {plain}::text END AS {quoted}"
        )
    of_json = _selected(quoted, type_, place)
    return Exported(name, plain, of_json, guarded, Column(name, written, kind=type_.kind))


def _selected(name: str, type_: Any, place: int) -> str:
    """Return a column as JSON has it."""
    column = f"exported.{name}"
    if type_.of_json is None:
        if not type_.holds_json:
            return column
        # NULL is null there, too. The cast cannot be: its error stops the export.
        refused = f"({column}::text || '{JSON_NULL}{place}')::boolean"
        return (
            f"CASE WHEN btrim({column}::text, E' \\t\\n\\r') = 'null' THEN to_json({refused}) "
            f"ELSE to_json({column}) END AS {name}"
        )
    # A JSON list begins with 1, one inside another of JSON may be an item, and null is NULL: what
    # holds an array that counts otherwise, such a one of several dimensions, or JSON's null, is
    # written as text.
    kept = f"{column}::text ~ '\\[-?[0-9]+:-?[0-9]+\\]'"
    if type_.of_json:
        kept += f" OR array_ndims({column}) > 1"
    if type_.holds_json:
        kept += f" OR {column}::text ~ '[({{,][\\\\\" ]*null[\\\\\" ]*[,)}}]'"
    return f"CASE WHEN {kept} THEN to_json({column}::text) ELSE to_json({column}) END AS {name}"
