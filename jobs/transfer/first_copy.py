"""Copies rows straight into a table that is missing or has no rows: nothing is there to compare."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg2

from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.sequences import advance_sequences
from headrace.jobs.tables.staged_keys import check_keys
from headrace.jobs.tables.staging_table import lock_rows
from headrace.jobs.tables.table_catalog import Column, Table, writable_table
from headrace.jobs.tables.table_creation import add_key, make_table
from headrace.jobs.transfer.made_like_source import define_like_source
from headrace.jobs.transfer.source import Source, known_types, pour
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def first_copy(
    session: "Session",
    table: str,
    source: Source,
    key: Sequence[str] | None = None,
    *,
    like_source: bool = False,
) -> int | None:
    """Fill a table that is missing or empty; return the rows, None where it has to be otherwise.

    A missing one is made, with `key` or the source's primary key. The name must be locked
    (`staging_table.lock_name`). `like_source` also gives it identity, defaults and checks.

    Raises:
        JobFailure: as `source.pour`, or the key is null or occurs twice.
    """
    found = writable_table(session, table)
    if found is None:
        return _made(session, table, source, key, like_source=like_source)
    columns = _straight(found, source.model)
    if columns is None or not _is_empty(session, found):
        return None
    lock_rows(session, found)
    if not _is_empty(session, found):
        return None
    rows = pour(source, session, found.sql, columns)
    if key is not None and not _keeps_unique(session, found, key):
        check_keys(session, key, source.model.written, found.sql)
    advance_sequences(session, found, [column.name for column in columns])
    return rows


def _made(
    session: "Session",
    table: str,
    source: Source,
    key: Sequence[str] | None,
    *,
    like_source: bool,
) -> int:
    columns = known_types(session, source.model, table)
    if source.local:
        # A collation is an object of the database.
        columns = source.columns
    from sqlalchemy.exc import DBAPIError

    made = make_table(session, table, columns, model=source.model)
    rows = pour(source, session, made.sql, made.columns)
    try:
        with session.begin_nested():
            add_key(session, made, model=source.model, key=key)
    except DBAPIError as error:
        if key is not None and isinstance(error.orig, psycopg2.IntegrityError):
            check_keys(session, key, source.model.written, made.sql)
        raise
    if like_source:
        define_like_source(session, made, source)
    return rows


def _straight(target: Table, model: Table) -> list[Column] | None:
    """Return the target's columns for the source's, None if any value had to be made to fit."""
    if target.kind not in "rp" or target.sifted or target.filtered or not target.readable:
        return None
    there = {column.name: column for column in target.columns}
    pairs = [(column, there.get(column.name)) for column in model.columns]
    taken: list[Column] = []
    for given, own in pairs:
        if own is None or own.generated or own.type != given.type:
            return None
        taken.append(own)
    others = [column for column in target.columns if column not in taken]
    return taken if all(column.filled_by_itself for column in others) else None


def _is_empty(session: "Session", target: Table) -> bool:
    statement = packaged_sql("any_row", table=target.sql, condition=RenderedSql("true", {}))
    return not execute(session, statement).scalar()


def _keeps_unique(session: "Session", target: Table, key: Sequence[str]) -> bool:
    not_null = {column.name for column in target.columns if column.not_null}
    rows = execute(session, packaged_sql("unique_keys", oid=target.oid))
    return not_null >= set(key) and any(set(row.columns) <= set(key) for row in rows)
