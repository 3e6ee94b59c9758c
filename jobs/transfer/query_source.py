"""Reads a query as if it were a table."""

from typing import TYPE_CHECKING, Any

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import Source
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NAME = "source_sql"


def read_query(written: str) -> str:
    """Return the text of a query without the semicolon at its end.

    Raises:
        InvalidPayload: it is empty.
    """
    query = written.strip().removesuffix(";").rstrip()
    if not query:
        raise InvalidPayload(f"{NAME} is empty: write a SELECT, or name a source_table")
    return query


def from_query(query: str) -> RenderedSql:
    """Return the query as what a SELECT reads from."""
    return packaged_sql("of_query", query=RenderedSql(query, {}))


def opened_query(session: "Session", query: str, selection: Selection, *, local: bool) -> Source:
    """Return what a session reads by a query.

    Raises:
        JobFailure: two columns of it have the same name, or one has none.
    """
    read_from = from_query(query)
    statement = packaged_sql("no_rows", query=read_from)
    described: Any = execute(session, statement).cursor.description or ()
    names = [one.name for one in described]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None or "?column?" in names:
        raise JobFailure(f"{NAME} has a column {doubled or '?column?'!r}: give each a name (AS …)")
    oids = [one.type_code for one in described]
    rows = execute(session, packaged_sql("query_columns", names=names, oids=oids)).mappings()
    columns = tuple(Column(**row) for row in rows)
    if not columns:
        raise JobFailure(f"{NAME} has no columns: there is nothing to copy")
    role = str(execute(session, packaged_sql("current_role")).scalar_one())
    table = Table(
        NAME, 0, "", NAME, "v", role, readable=True, filtered=False, referenced=False,
        sifted=False, heirs=None, comment=None, columns=columns,
    )  # fmt: skip
    model, values = selection.of(table)
    return Source(table, model, values, selection, session, local, read_from=read_from)
