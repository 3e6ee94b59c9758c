"""Brings a table's rows into the database where another table is to be made like it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Protocol

from sqlalchemy.orm import Session

from jobs.base import execute, packaged_sql
from jobs.streams import copy_in, copy_out
from jobs.tables import STAGED, stage_rows
from runner.errors import JobFailure
from runner.template import RenderedSql, quote_identifier

_IN_MEMORY_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column; `type` as PostgreSQL writes it."""

    name: str
    type: str


class OpensSessions(Protocol):
    """A job, seen as what opens sessions."""

    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> AbstractContextManager[Session]: ...


def columns_of(session: Session, table: str) -> list[Column]:
    """Return the columns of a table or view, in order, generated ones left out.

    Raises:
        JobFailure: there is no such table.
    """
    statement = packaged_sql("columns_of", table=quote_identifier(table))
    found = [Column(row.name, row.type) for row in execute(session, statement)]
    if not found:
        raise JobFailure(f"there is no table {table}")
    return found


def stage_table(
    job: OpensSessions,
    target: Session,
    table: str,
    columns: list[str] | None,
    *,
    source_connection: str | None,
    target_connection: str | None,
) -> list[Column]:
    """Copy `table` into a temporary table, `STAGED`, of the target's database.

    Returns the columns that were copied: those named, or all.

    Raises:
        JobFailure: the table, or a named column, is missing.
    """
    if source_connection == target_connection:
        found = _wanted(columns_of(target, table), columns, table)
        names = [column.name for column in found]
        stage_rows(target, packaged_sql("select_columns", table=table, columns=names))
        return found
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as rows:
        with job.session(source_connection, read_only=True) as source:
            found = _wanted(columns_of(source, table), columns, table)
            names = [column.name for column in found]
            copy_out(source, packaged_sql("copy_table_out", table=table, columns=names), rows)
        rows.seek(0)
        stage_rows(target, _no_rows(found))
        copy_in(target, packaged_sql("load_jsonl", table=STAGED, columns=names), rows, name=table)
    return found


def _wanted(found: list[Column], names: list[str] | None, table: str) -> list[Column]:
    if names is None:
        return found
    by_name = {column.name: column for column in found}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise JobFailure(f"{table} has no column {missing[0]!r}; it has: {', '.join(by_name)}")
    return [by_name[name] for name in names]


def _no_rows(columns: list[Column]) -> RenderedSql:
    """Return a query of no rows with these columns.

    The types come from the server's own catalogue (`format_type`), not from a user.
    """
    casts = ", ".join(f"NULL::{c.type} AS {_quoted(c.name)}" for c in columns)
    return RenderedSql(f"SELECT {casts} LIMIT 0", {})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
