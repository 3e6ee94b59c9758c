"""Counts what staged rows would change in a table, and changes nothing.

The rows stand in the temporary table `STAGED` of a transaction that is never committed. The
target is read in a session that can write nothing else (`OpensSessions.session` with `read_only`).
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import NOTHING_EXPECTED, Expectation
from headrace.jobs.tables.row_replacement import check_loss, key_of
from headrace.jobs.tables.row_storage import Staged, keeps_others
from headrace.jobs.tables.schema_drift import Agreement, Drift, OnSchemaChange, agree
from headrace.jobs.tables.staged_keys import check_keys
from headrace.jobs.tables.staging_table import STAGED
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.jobs.tables.type_fitting import fit, look_at
from headrace.model.forecast import Forecast, TableForecast
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class OpensSessions(Protocol):
    """A job, seen as what opens sessions."""

    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> "AbstractContextManager[Session]": ...


@dataclass(frozen=True, slots=True)
class Looking:
    """The staged rows' session, and the way to one that reads the target."""

    job: OpensSessions
    connection: str | None
    session: "Session"

    def reading(self) -> "AbstractContextManager[Session]":
        """Give a session of the same transaction in which no table can be written."""
        return self.job.session(self.connection, read_only=True)


@dataclass(frozen=True, slots=True)
class ByKey:
    """How rows are compared with the target's: see `jobs/sql/forecast_by_key.sql.j2`.

    `update` says whether rows that are there change, or which of their columns. With `deletes`
    the target's rows that are missing go; with `replaces_keys` all rows of each key that has
    come. `ours` are columns of the rows that the target is given whatever `policy` says, `filled`
    the names of those that the job fills by itself.
    """

    key: Sequence[str]
    update: bool | Sequence[str] = True
    deletes: bool = False
    replaces_keys: bool = False
    live: str | None = None
    marked: str | None = None
    policy: OnSchemaChange = "fail"
    expect: Expectation = NOTHING_EXPECTED
    ours: Collection[Column] = field(default=())
    filled: Collection[str] = ()


def of_new_table(table: str, rows: int, columns: Sequence[Column], expect: Expectation) -> Forecast:
    """Return the forecast for a table that the job creates."""
    made = TableForecast(
        table, insert=rows, creates=True, add_columns=tuple(one.declared for one in columns)
    )
    return judged(Forecast((made,), read=rows), lambda: expect.check_rows(rows, table))


def by_key(looking: Looking, target: Table, staged: Staged, how: ByKey) -> Forecast:
    """Return the forecast for staged rows that are written by key.

    Raises:
        JobFailure: they cannot be: as `row_storage.merge_staged`.
    """
    session = looking.session
    wanted, ours = _with(target, how.ours)
    drift = look_at(session, wanted, staged.model, how.filled)
    agreed = agree(drift, how.policy, replaces=False)
    fit(session, wanted, agreed.columns, staged.model, staged.rows)
    missing = [name for name in how.key if name not in {c.name for c in agreed.columns}]
    if missing:
        raise JobFailure(f"{target.written} has no column {missing[0]!r}, which is the key")
    if not how.replaces_keys:
        source = staged.source or (staged.model.written if staged.model else target.written)
        check_keys(session, list(how.key), source)
    execute(session, packaged_sql("analyze_staged", staged=STAGED, key=list(how.key)))
    with looking.reading() as reading:
        row = execute(reading, _compared(target, agreed, how)).mappings().one()
    changes = [*(c.declared for c in drift.new if c in agreed.columns), *(c.declared for c in ours)]
    return _of_counts(target, staged.rows, row, how, changes, agreed)


def of_replacement(
    looking: Looking,
    target: Table,
    staged: Staged,
    *,
    policy: OnSchemaChange,
    expect: Expectation = NOTHING_EXPECTED,
    may_keep: bool = True,
    ours: Collection[Column] = (),
) -> Forecast:
    """Return the forecast for staged rows that replace all of a table's.

    Raises:
        JobFailure: they cannot: as `row_storage.store_staged`.
    """
    session = looking.session
    drift, agreed = agreed_replacement(looking, target, staged, policy, ours)
    if not agreed.anew:
        fit(session, target, agreed.columns, staged.model, staged.rows)
        if needs_keys(looking, target, agreed, may_keep=may_keep):
            names = [column.name for column in agreed.columns]
            key = key_of(session, target, names)
            how = ByKey(key, deletes=True, policy=policy, expect=expect, ours=ours)
            return by_key(looking, target, staged, how)
    given = looking, target, staged.rows, drift, agreed
    return of_numbers(*given, expect=expect, staged=True, added=_with(target, ours)[1])


def of_appended(
    looking: Looking,
    target: Table,
    staged: Staged,
    *,
    policy: OnSchemaChange,
    expect: Expectation = NOTHING_EXPECTED,
    ours: Collection[Column] = (),
) -> Forecast:
    """Return the forecast for staged rows that are added to a table's.

    Raises:
        JobFailure: they do not fit: as `row_storage.append_staged`.
    """
    session, rows = looking.session, staged.rows
    wanted, added = _with(target, ours)
    drift = look_at(session, wanted, staged.model)
    agreed = agree(drift, policy, replaces=False)
    fit(session, wanted, agreed.columns, staged.model, rows)
    new = [*(c for c in drift.new if c in agreed.columns), *added]
    found = TableForecast(
        target.written, rows, 0, 0,
        add_columns=tuple(column.declared for column in new), changes=tuple(agreed.notes),
    )  # fmt: skip
    return judged(Forecast((found,), read=rows), lambda: expect.check_rows(rows, target.written))


def agreed_replacement(
    looking: Looking,
    target: Table,
    staged: Staged,
    policy: OnSchemaChange,
    ours: Collection[Column] = (),
) -> tuple[Drift, Agreement]:
    """Return how the staged rows, or only their columns, differ from the table they replace."""
    wanted, _ = _with(target, ours)
    drift = look_at(looking.session, wanted, staged.model)
    return drift, agree(drift, policy, replaces=True)


def needs_keys(
    looking: Looking, target: Table, agreed: Agreement, *, may_keep: bool = True
) -> bool:
    """Return whether a table can be replaced by key only."""
    if target.referenced:
        return True
    with looking.reading() as reading:
        return may_keep and keeps_others(reading, target, agreed)


def of_numbers(
    looking: Looking,
    target: Table,
    rows: int,
    drift: Drift,
    agreed: Agreement,
    *,
    expect: Expectation,
    staged: bool,
    added: Sequence[Column] = (),
) -> Forecast:
    """Return the forecast for a table whose rows all go, `rows` in number coming.

    `staged` says whether the rows are there, so that those can be counted that come back; `added`
    are columns that the target gets whatever differs.
    """
    before = _count(looking, target)
    changes = tuple(agreed.notes)
    if agreed.anew:
        changes = ("is dropped and created again, without its privileges and indexes",)
    found = TableForecast(
        target.written,
        insert=rows,
        update=0,
        delete=before,
        add_columns=tuple(
            column.declared
            for column in (*drift.new, *added)
            if column in agreed.columns or column in added
        ),
        changes=changes,
    )

    def check() -> None:
        expect.check_rows(rows, target.written)
        if staged:
            check_loss(looking.session, target, agreed.columns, expect)

    return judged(Forecast((found,), read=rows), check)


def _count(looking: Looking, target: Table) -> int:
    every = RenderedSql("true", {})
    statement = packaged_sql("count_where", table=target.sql, condition=every)
    with looking.reading() as reading:
        return int(execute(reading, statement).scalar_one())


def _with(target: Table, ours: Collection[Column]) -> tuple[Table, list[Column]]:
    """Return the table with these columns, and those of them that it lacks."""
    there = {column.name for column in target.columns}
    added = [column for column in ours if column.name not in there]
    return replace(target, columns=(*target.columns, *added)), added


def _compared(target: Table, agreed: Agreement, how: ByKey) -> RenderedSql:
    types = {column.name: column.type for column in target.columns}
    names = [column.name for column in agreed.columns if column.name not in how.key]
    if how.update is not True:
        wanted = how.update or ()
        names = [name for name in names if name in wanted]
    kinds = {column.name: column.type for column in agreed.columns}
    compared = []
    for name in names:
        if name in types:
            # What changes its type is compared as it will be.
            cast = "" if kinds[name] == types[name] else f"::text::{kinds[name]}"
            value = RenderedSql(f"target.{quote_name(name)}{cast}", {})
            compared.append({"name": name, "value": value})
    return packaged_sql(
        "forecast_by_key",
        table=target.sql,
        staged=STAGED,
        key=list(how.key),
        compared=compared,
        added=[name for name in names if name not in types],
        live=how.live,
        marked=how.marked if how.marked in types else None,
    )


def _of_counts(
    target: Table, rows: int, row: Any, how: ByKey, added: Sequence[str], agreed: Agreement
) -> Forecast:
    gone = row["missing"] if how.deletes or how.marked else 0
    deleted, inserted, updated = gone, row["inserted"], row["updated"]
    if how.replaces_keys:
        deleted, inserted, updated = gone + row["present"], rows, 0
    if how.update is False:
        updated = 0
    found = TableForecast(
        target.written,
        insert=inserted,
        update=updated,
        delete=deleted,
        restore=row["restored"] if how.marked else None,
        add_columns=tuple(added),
        changes=tuple(agreed.notes),
    )

    def check() -> None:
        how.expect.check_rows(rows, target.written)
        how.expect.check_deleted(gone, row["before"], target.written)

    return judged(Forecast((found,), read=rows), check)


def judged(forecast: Forecast, check: Any) -> Forecast:
    """Return the forecast, with what `expect` says against it."""
    try:
        check()
    except JobFailure as error:
        return replace(forecast, fails=str(error))
    return forecast
