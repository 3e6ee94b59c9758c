"""Gives staged rows the types of the table that they are for, before that table is touched."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import errorcodes

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.schema_drift import Drift, Pair, compare
from headrace.jobs.tables.staging_table import STAGED, drop_staged, make_staging, staged_table
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.jobs.tables.value_losses import cast_of, tell_losses
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_FITTED = "headrace_fitted_rows"
_NO_CAST = (errorcodes.DATATYPE_MISMATCH, errorcodes.CANNOT_COERCE)


def look_at(
    session: "Session", target: Table, model: Table | None, filled: Collection[str] = ()
) -> Drift:
    """Return the differences between the staged rows and the table that they are for.

    `model` is the table that they come from, where that is one; columns that are `filled` by the
    job itself are no difference.
    """
    staged = staged_table(session).columns
    generated = frozenset(c.name for c in model.columns if c.generated) if model else frozenset()
    drift = compare(target, staged, generated, filled)
    unequal = [pair for pair in drift.pairs if pair.given.type != pair.target.type]
    if unequal:
        make_staging(session, [pair.target for pair in unequal], _FITTED)
        refused = {p.target.name for p in unequal if not _is_storable(session, p, model)}
        drop_staged(session, _FITTED)
        drift.pairs = [
            replace(pair, storable=pair.target.name not in refused) for pair in drift.pairs
        ]
    return drift


def fit(
    session: "Session", target: Table, columns: Sequence[Column], model: Table | None, rows: int
) -> None:
    """Make the staged rows be of these columns' types, as an assignment would, but lose nothing.

    Raises:
        JobFailure: a value does not fit, or would be rounded or cut; its column is named.
    """
    from sqlalchemy.exc import DBAPIError

    before = staged_table(session)
    staged = {column.name: column for column in before.columns}
    pairs = [Pair(staged[column.name], column) for column in columns]
    if all(p.given.identity_of_type == p.target.identity_of_type for p in pairs if not _new(p)):
        return
    make_staging(session, columns, _FITTED)
    try:
        with session.begin_nested():
            stored = _move(session, pairs, model)
    except DBAPIError as error:
        raise _misfit(session, target, pairs, model) or error from None
    if stored != rows:
        raise JobFailure(f"{stored} of {rows} staged rows are left: this is a bug in Headrace")
    tell_losses(session, target, pairs, model)
    drop_staged(session, view=before.kind == "v")
    execute(session, packaged_sql("rename_staged", old=_FITTED, new=STAGED))


def _new(pair: Pair) -> bool:
    return not pair.target.identity_of_type or pair.given is pair.target


def _move(session: "Session", pairs: Sequence[Pair], model: Table | None) -> int:
    return execute(session, _statement(pairs, model)).rowcount


def _statement(pairs: Sequence[Pair], model: Table | None) -> RenderedSql:
    return packaged_sql(
        "fit_rows",
        fitted=_FITTED,
        staged=STAGED,
        columns=[pair.target.name for pair in pairs],
        expressions=RenderedSql(", ".join(_expression(pair, model) for pair in pairs), {}),
    )


def _expression(pair: Pair, model: Table | None) -> str:
    """Return the staged value as it is assigned: an enum's goes into another enum by its label."""
    name = quote_name(pair.given.name)
    kinds: Mapping[str, str] = {c.name: c.kind for c in model.columns} if model else {}
    is_enum = "e" in (pair.given.kind, kinds.get(pair.given.name))
    if is_enum and pair.target.kind == "e" and pair.given.type != pair.target.type:
        return f"{name}::text::{pair.target.type}"
    return cast_of(pair)


def _is_storable(session: "Session", pair: Pair, model: Table | None) -> bool:
    """Ask PostgreSQL whether it would take the assignment; no value is looked at."""
    statement = packaged_sql("explain", statement=_statement([pair], model))
    with _undone_where(session, _NO_CAST) as refused:
        execute(session, statement)
    return not refused


def _misfit(
    session: "Session", target: Table, pairs: Sequence[Pair], model: Table | None
) -> JobFailure | None:
    """Find the column whose value does not fit: PostgreSQL's message does not name it."""
    for pair in pairs:
        with _undone_where(session, None) as refused:
            _move(session, [pair], model)
        if refused:
            error = refused[0]
            told = error.diag.message_primary or str(error)
            return JobFailure(f"{target.written}: column {pair.target.name}: {told}")
    return None


@contextmanager
def _undone_where(
    session: "Session", codes: Sequence[str] | None
) -> Iterator[list[psycopg2.Error]]:
    """Catch errors of these kinds, or all, and undo what was done within the block."""
    from sqlalchemy.exc import DBAPIError

    caught: list[psycopg2.Error] = []
    try:
        with session.begin_nested():
            yield caught
    except DBAPIError as error:
        cause = error.orig
        if not isinstance(cause, psycopg2.Error) or (codes and cause.pgcode not in codes):
            raise
        caught.append(cause)
