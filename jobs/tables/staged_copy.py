"""Brings a table's rows into the database where another table is to be made like it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Protocol, cast

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.files.copy_streams import copy_in, copy_out
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.local_settings import set_locally
from headrace.jobs.tables.row_storage import Staged
from headrace.jobs.tables.staging_table import STAGED, make_staging, stage_rows
from headrace.jobs.tables.table_catalog import Column, Table, find_table, named, readable_table
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_IN_MEMORY_BYTES = 8_000_000
# What one server writes the other must read as the same, whatever its settings are.
_PORTABLE = (
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
)


class OpensSessions(Protocol):
    """A job, seen as what opens sessions."""

    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> AbstractContextManager["Session"]: ...


def columns_of(session: "Session", table: str) -> list[Column]:
    """Return the columns of a table or view, in order, generated ones left out.

    Raises:
        JobFailure: there is no such table.
    """
    return [column for column in readable_table(session, table).columns if not column.generated]


def stage_table(
    job: OpensSessions,
    target: "Session",
    table: str,
    columns: list[str] | None,
    *,
    into: str,
    source_connection: str | None,
    target_connection: str | None,
) -> Staged:
    """Copy `table` into a temporary table, `STAGED`, of the target's database.

    `columns` are those to copy, default all; `into` is the table that the rows are for.

    Raises:
        JobFailure: the table, a named column or a type is missing, or rows were lost on the way.
    """
    if source_connection == target_connection:
        model = _model(target, table, columns)
        return Staged(stage_rows(target, _select(model)), model)
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as spool:
        rows = cast("IO[bytes]", spool)
        with job.session(source_connection, read_only=True) as source:
            model = _model(source, table, columns)
            sent = _written_portably(source, model, rows)
        rows.seek(0)
        make_staging(target, _known_types(target, model, into))
        stored = _read_portably(target, model, rows)
    if stored != sent:
        raise JobFailure(f"{table}: {sent} rows were read, but {stored} arrived")
    return Staged(stored, model)


def stage_query(
    source: "Session", target: "Session", model: Table, query: RenderedSql, *, into: str
) -> Staged:
    """Copy the rows of a query over `model`, its generated columns left out, as `stage_table`."""
    plain = replace(model, columns=tuple(c for c in model.columns if not c.generated))
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as spool:
        rows = cast("IO[bytes]", spool)
        with set_locally(source, *_PORTABLE):
            sent = copy_out(source, packaged_sql("copy_out", query=query), rows)
        rows.seek(0)
        make_staging(target, _known_types(target, plain, into))
        stored = _read_portably(target, plain, rows)
    if stored != sent:
        raise JobFailure(f"{model.written}: {sent} rows were read, but {stored} arrived")
    return Staged(stored, plain)


def _model(session: "Session", table: str, columns: Sequence[str] | None) -> Table:
    found = readable_table(session, table)
    if found.filtered:
        logger.warning(
            "Row level security applies to %s: the role %s reads only the rows that it may see",
            table,
            found.role,
        )
    if columns is None:
        return found
    return replace(found, columns=tuple(named(found.columns, columns, table)))


def _select(model: Table) -> RenderedSql:
    names = [column.name for column in model.columns]
    return packaged_sql("select_names", table=model.sql, columns=names)


def _written_portably(session: "Session", model: Table, rows: IO[bytes]) -> int:
    with set_locally(session, *_PORTABLE):
        return copy_out(session, packaged_sql("copy_out", query=_select(model)), rows)


def _read_portably(session: "Session", model: Table, rows: IO[bytes]) -> int:
    names = [column.name for column in model.columns]
    copy = packaged_sql("copy_staged", staged=STAGED, columns=names)
    # What follows, casts of texts to dates for example, is done as the target has it.
    with set_locally(session, *_PORTABLE):
        return copy_in(session, copy, rows, name=model.written)


def _known_types(session: "Session", model: Table, into: str) -> list[Column]:
    """Return the source's columns in types that the target's database has.

    Raises:
        JobFailure: it lacks one, and has no column either that could take its values.
    """
    types = [column.type for column in model.columns]
    rows = execute(session, packaged_sql("types_known", types=types)).mappings()
    unknown = {row["type"] for row in rows if not row["known"]}
    target = find_table(session, into) if unknown else None
    there = {column.name for column in target.columns} if target else set()
    staged = []
    for column in model.columns:
        bare = replace(column, collation=None)
        if column.type not in unknown:
            staged.append(bare)
        elif column.plain and column.name in there:
            staged.append(replace(bare, type=column.plain))
        else:
            raise JobFailure(_lacking(model, column))
    return staged


def _lacking(model: Table, column: Column) -> str:
    word = {"e": "CREATE TYPE … AS ENUM", "d": "CREATE DOMAIN"}.get(column.kind, "CREATE TYPE")
    return (
        f"{model.written}.{column.name} has the type {column.type}, which the target's database "
        f"does not have: make it there ({word}, or CREATE EXTENSION where it comes from one), "
        "or copy from a view that casts the column"
    )
