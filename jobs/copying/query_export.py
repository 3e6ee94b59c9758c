"""Writes a query's rows as text that can be read back."""

from collections import Counter
from typing import TYPE_CHECKING

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ALL = RenderedSql("*", {})


def refuse_delimiter(delimiter: str) -> None:
    """Refuse what cannot separate the columns of a CSV file.

    Raises:
        InvalidPayload: it is not one ASCII character, or a quote or a line's end.
    """
    if len(delimiter) != 1 or delimiter in '"\n\r' or not delimiter.isascii():
        raise InvalidPayload(
            f"delimiter must be one character, neither a quote nor a line end: {delimiter!r}"
        )


def described(session: "Session", query: RenderedSql) -> RenderedSql:
    """Return the query's columns as they are selected for JSON; it is planned, and not run.

    Raises:
        JobFailure: it has no columns, or two of one name.
    """
    cursor = execute(session, packaged_sql("described", query=query))
    assert cursor.cursor is not None, "a SELECT has a description"
    columns = [(column[0], column[1]) for column in cursor.cursor.description]
    cursor.close()
    if not columns:
        raise JobFailure("the query has no columns: there is nothing to export")
    name, times = Counter(name for name, _ in columns).most_common(1)[0]
    if times > 1:
        raise JobFailure(
            f"the query has {times} columns called {name!r}: give each a different name (AS …)"
        )
    built = execute(session, packaged_sql("built_types", oids=[oid for _, oid in columns]))
    known = {row.oid: row.of_json for row in built}
    selected = (_selected(quote_name(name), known.get(oid)) for name, oid in columns)
    return RenderedSql(", ".join(selected), {})


def _selected(name: str, of_json: bool | None) -> str:
    """Return a column as JSON has it; `of_json` is None for what is neither array nor row."""
    if of_json is None:
        return f"exported.{name}"
    # A JSON list begins with 1, and one inside another of JSON may be an item: what holds an
    # array that counts otherwise, or such a one of several dimensions, is written as text.
    kept = f"exported.{name}::text ~ '\\[-?[0-9]+:-?[0-9]+\\]'"
    if of_json:
        kept += f" OR array_ndims(exported.{name}) > 1"
    return (
        f"CASE WHEN {kept} THEN to_json(exported.{name}::text) ELSE to_json(exported.{name}) END"
        f" AS {name}"
    )
