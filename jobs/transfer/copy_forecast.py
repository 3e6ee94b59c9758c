"""Counts what a copy would change: the source is read, and nothing is written."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import Expectation
from headrace.jobs.tables.row_forecast import (
    ByKey,
    Looking,
    OpensSessions,
    agreed_replacement,
    by_key,
    needs_keys,
    of_new_table,
    of_numbers,
    of_replacement,
)
from headrace.jobs.tables.row_storage import Staged
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.staging_table import STAGED_SQL, make_staging, staged_table
from headrace.jobs.tables.table_catalog import Column, Table, writable_table
from headrace.jobs.transfer.history import refuse_own_columns, refuse_without
from headrace.jobs.transfer.merging import DELETED_AT, Merge
from headrace.jobs.transfer.source import Source, known_types, pour
from headrace.model.forecast import Forecast
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_EVERY = RenderedSql("true", {})


@contextmanager
def looking_at(
    job: OpensSessions,
    source_connection: str | None,
    target_connection: str | None,
    opened: Callable[["Session"], AbstractContextManager[Source]],
) -> Iterator[tuple[Looking, Source]]:
    """Give the way to look at a copy's target, and its source, `opened` by the target's session.

    Where both are one database, the source is read only in sessions that write nothing.
    """
    with job.session(target_connection) as target:
        looking = Looking(job, target_connection, target)
        if source_connection != target_connection:
            with opened(target) as source:
                yield looking, source
            return
        with looking.reading() as reading, opened(reading) as source:
            pass
        yield looking, replace(source, session=target)


def together(forecasts: Sequence[Forecast]) -> Forecast:
    """Return the forecasts of several tables as one."""
    return Forecast(
        tuple(table for one in forecasts for table in one.tables),
        read=sum(one.read or 0 for one in forecasts),
        notes=tuple(note for one in forecasts for note in one.notes),
        fails=next((one.fails for one in forecasts if one.fails), None),
    )


def of_sync(
    looking: Looking, source: Source, table: str, key: Sequence[str], merge: Merge
) -> Forecast:
    """Return what merging the source's rows into a table would change.

    Raises:
        JobFailure: it would fail, and why.
    """
    if merge.strategy == "scd2":
        refuse_own_columns([column.name for column in source.model.columns], merge.history)
    target = writable_table(looking.session, table)
    if target is None:
        return _of_new(looking, source, table, merge.expect)
    if merge.strategy == "scd2":
        refuse_without(target, merge.history)
    how = _compared(key, merge)
    make_staging(looking.session, known_types(looking.session, source.model, table))
    if merge.plain and _is_empty(looking, target):
        drift, agreed = agreed_replacement(
            looking, target, Staged(0, source.model), merge.on_schema_change
        )
        rows = _count(looking, source)
        return of_numbers(looking, target, rows, drift, agreed, expect=merge.expect, staged=False)
    rows = _staged(looking, source)
    return by_key(looking, target, Staged(rows, source.model), how)


def of_mirror(
    looking: Looking, source: Source, table: str, policy: OnSchemaChange, expect: Expectation
) -> Forecast:
    """Return what replacing a table's rows by the source's would change.

    The rows are read only where they have to be compared, and counted otherwise.

    Raises:
        JobFailure: it would fail, and why.
    """
    target = writable_table(looking.session, table)
    if target is None:
        return _of_new(looking, source, table, expect)
    make_staging(looking.session, known_types(looking.session, source.model, table))
    drift, agreed = agreed_replacement(looking, target, Staged(0, source.model), policy)
    keyed = not agreed.anew and needs_keys(looking, target, agreed)
    if keyed or expect.max_delete is not None:
        staged = Staged(_staged(looking, source), source.model)
        return of_replacement(looking, target, staged, policy=policy, expect=expect)
    rows = _count(looking, source)
    return of_numbers(looking, target, rows, drift, agreed, expect=expect, staged=False)


def _compared(key: Sequence[str], merge: Merge) -> ByKey:
    how = ByKey(
        key,
        update=merge.update_columns or merge.strategy in ("upsert", "scd2"),
        deletes=merge.delete_missing == "hard",
        replaces_keys=merge.strategy == "delete_insert",
        policy=merge.on_schema_change,
        expect=merge.expect,
    )
    if merge.strategy == "scd2":
        history = merge.history
        live, deletes = history.valid_to, history.invalidates
        return replace(how, live=live, deletes=deletes, filled=history.names)
    if merge.delete_missing == "soft":
        mark = Column(DELETED_AT, "timestamp with time zone")
        return replace(how, marked=DELETED_AT, ours=[mark])
    return how


def _of_new(looking: Looking, source: Source, table: str, expect: Expectation) -> Forecast:
    columns = known_types(looking.session, source.model, table)
    return of_new_table(table, _count(looking, source), columns, expect)


def _count(looking: Looking, source: Source) -> int:
    names = [column.name for column in source.columns]
    statement = packaged_sql("count_of_query", query=source.query(names))
    if not source.local:
        return int(execute(source.session, statement).scalar_one())
    with looking.reading() as reading:
        return int(execute(reading, statement).scalar_one())


def _staged(looking: Looking, source: Source) -> int:
    """Fill the temporary table, in a session that can fill no other."""
    with looking.reading() as reading:
        own = replace(source, session=reading) if source.local else source
        return pour(own, reading, STAGED_SQL, staged_table(reading).columns)


def _is_empty(looking: Looking, target: Table) -> bool:
    statement = packaged_sql("any_row", table=target.sql, condition=_EVERY)
    return not execute(looking.session, statement).scalar()
