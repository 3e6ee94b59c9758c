"""Brings a table of totals to its source by group: only groups that differ are written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import Expectation
from headrace.jobs.tables.kept_rows import refuse_heirs
from headrace.jobs.tables.key_merge import Written
from headrace.jobs.tables.row_forecast import ByKey, Looking, by_key, of_new_table
from headrace.jobs.tables.row_storage import Staged, merge_staged
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.staging_table import STAGED, lock_name, stage_rows, staged_table
from headrace.jobs.tables.table_catalog import Table, named, split_table, writable_table
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import Source, opened
from headrace.jobs.transfer.watermark import Incremental, Progress, begin
from headrace.model.forecast import Forecast
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

GROUPS = "headrace_changed_groups"
_GROUPS_SQL = RenderedSql(f"pg_temp.{quote_name(GROUPS)}", {})
GroupsGiven = dict[Literal["cursor", "lag"], Any]
Query = Callable[[Sequence[str], RenderedSql | None], RenderedSql]
"""Renders the totals of these columns' groups, of all or of those in a table."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of `table` by the columns `group_by`, to be stored in `into`.

    `definition` says what is calculated: another one makes all groups new.
    """

    table: str
    group_by: Sequence[str]
    into: str
    query: Query
    definition: str
    incremental: Incremental | None
    connection: str | None
    policy: OnSchemaChange
    expect: Expectation


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read of the source: `progress` is None where all groups are calculated anyway."""

    source: Source
    key: list[str]
    progress: Progress | None

    @property
    def partly(self) -> bool:
        """Whether only the groups in `GROUPS` are calculated."""
        return self.progress is not None and not self.progress.whole


def refresh_groups(session: "Session", totals: Totals) -> tuple[int, Written]:
    """Write the groups that differ and delete those that have vanished.

    Returns how many groups were calculated, and what was written.

    Raises:
        JobFailure: a group's key is null, or as `row_storage.merge_staged`.
    """
    split_table(totals.into)
    lock_name(session, totals.into)
    reading = _begun(session, totals, stores=True)
    # Before the groups are looked for: a row that comes later counts as new the next time.
    greatest = None
    if reading.progress is not None:
        greatest = reading.progress.greatest(session, reading.source.table.sql)
    changed = _changed_groups(reading)
    if changed is not None:
        stage_rows(session, changed, GROUPS)
        _refuse_null_group(session, totals, reading.key, GROUPS)
    rows = stage_rows(session, totals.query(reading.key, changed and _GROUPS_SQL))
    staged = Staged(rows, source=f"{totals.table} by {', '.join(reading.key)}")
    _refuse_null_group(session, totals, reading.key)
    written = merge_staged(
        session, totals.into, staged, reading.key,
        delete=not reading.partly, on_schema_change=totals.policy, expect=totals.expect,
    )  # fmt: skip
    if reading.partly:
        deleted = _delete_vanished(session, totals, reading)
        written = replace(written, deleted=deleted)
    if reading.progress is not None:
        reading.progress.store(session, greatest)
    return rows, written


def forecast_groups(looking: Looking, totals: Totals) -> Forecast:
    """Return what `refresh_groups` would change.

    Raises:
        JobFailure: it would fail, and why.
    """
    session = looking.session
    reading = _begun(session, totals, stores=False)
    changed = _changed_groups(reading)
    if changed is not None:
        stage_forecast(looking, changed, GROUPS)
        _refuse_null_group(session, totals, reading.key, GROUPS)
    rows = stage_forecast(looking, totals.query(reading.key, changed and _GROUPS_SQL))
    _refuse_null_group(session, totals, reading.key)
    target = writable_table(session, totals.into)
    if target is None:
        columns = staged_table(session).columns
        return of_new_table(totals.into, rows, columns, totals.expect)
    staged = Staged(rows, source=totals.table)
    how = ByKey(reading.key, deletes=not reading.partly, policy=totals.policy, expect=totals.expect)
    found = by_key(looking, target, staged, how)
    if not reading.partly:
        return found
    with looking.reading() as reader:
        counted = packaged_sql("count_vanished", **_vanishing(target, reading))
        row = execute(reader, counted).one()
    (table,) = found.tables
    found = replace(found, tables=(replace(table, delete=row.vanished),))
    try:
        totals.expect.check_deleted(row.vanished, row.before, target.written)
    except JobFailure as error:
        return replace(found, fails=found.fails or str(error))
    return found


def stage_forecast(looking: Looking, query: RenderedSql, name: str = STAGED) -> int:
    """Stage a query's rows in a session that can write nothing else; return their number."""
    empty = packaged_sql("no_rows", query=RenderedSql(f"({query.marked}) AS q", query.binds))
    stage_rows(looking.session, empty, name)
    table = RenderedSql(f"pg_temp.{quote_name(name)}", {})
    names = [column.name for column in staged_table(looking.session, name).columns]
    statement = packaged_sql("insert_query", table=table, columns=names, query=query, always=False)
    with looking.reading() as reading:
        return execute(reading, statement).rowcount


def _begun(session: "Session", totals: Totals, *, stores: bool) -> _Reading:
    wanted = list(totals.group_by)
    cursor = totals.incremental.cursor if totals.incremental else None
    selection = Selection.read([*wanted, *([cursor] if cursor and cursor not in wanted else [])])
    source = opened(session, totals.table, selection, local=True)
    key = [column.name for column in named(source.table.columns, wanted, totals.table)]
    if totals.incremental is None:
        return _Reading(source, key, None)
    progress = begin(
        session, source, totals.incremental, table=totals.into, connection=totals.connection,
        stores=stores, use=totals.definition,
    )  # fmt: skip
    if progress.whole:
        logger.info("All groups of %s are calculated: there is no earlier refresh to go on from, "
                    "or it calculated something else", totals.table)  # fmt: skip
    return _Reading(source, key, progress)


def _changed_groups(reading: _Reading) -> RenderedSql | None:
    """Return the query of the groups in which a row has changed; None: all are calculated."""
    if reading.progress is None or reading.progress.whole:
        return None
    rows = reading.progress.source.query(reading.key)
    return packaged_sql("changed_groups", key=reading.key, rows=rows)


def _refuse_null_group(
    session: "Session", totals: Totals, key: Sequence[str], rows_in: str = STAGED
) -> None:
    """Refuse a group without a value: rows are found by it."""
    if execute(session, packaged_sql("null_key", staged=rows_in, key=list(key))).scalar():
        raise JobFailure(
            f"{totals.table} has rows whose {' or '.join(key)} is NULL, and refresh: changed finds "
            "groups by their values: group by a column that is never NULL (a view with coalesce "
            "has one), or take refresh: all"
        )


def _vanishing(target: Table, reading: _Reading) -> dict[str, Any]:
    types = {column.name: column.type for column in target.columns}
    own = {column.name: column.type for column in reading.source.table.columns}
    key = []
    for name in reading.key:
        cast = "" if own[name] == types[name] else f"::{types[name]}"
        key.append({"name": name, "cast": RenderedSql(cast, {})})
    return {"table": target.sql, "source": reading.source.table.sql, "key": key}


def _delete_vanished(session: "Session", totals: Totals, reading: _Reading) -> int:
    target = writable_table(session, totals.into)
    assert target is not None, "its rows are there"
    values = _vanishing(target, reading)
    before = execute(session, packaged_sql("count_vanished", **values)).one()
    if not before.vanished:
        return 0
    totals.expect.check_deleted(before.vanished, before.before, target.written)
    if target.heirs:
        refuse_heirs(session, target)
    deleted = execute(session, packaged_sql("delete_vanished", **values)).rowcount
    if deleted < before.vanished and target.sifted:
        raise JobFailure(
            f"{target.written} kept groups that have vanished: a trigger or a rule keeps them. "
            "Remove it, or choose a table without one"
        )
    return deleted
