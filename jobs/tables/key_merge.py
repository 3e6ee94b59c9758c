"""Writes staged rows into a table by key: what is new, differs, or is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import NOTHING_EXPECTED, Expectation, count_before
from headrace.jobs.tables.kept_rows import (
    refuse_heirs,
    refuse_kept,
    refuse_missing,
    refuse_unchanged,
)
from headrace.jobs.tables.local_settings import enough_work_memory
from headrace.jobs.tables.sequences import advance_sequences
from headrace.jobs.tables.staging_table import CHANGES, STAGED, drop_staged
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Written:
    """The numbers of rows inserted, updated and deleted in a target."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


def write_by_key(
    session: "Session",
    target: Table,
    columns: Sequence[Column],
    key: Sequence[str],
    *,
    delete: bool,
    update: bool | Sequence[str] = True,
    expect: Expectation = NOTHING_EXPECTED,
    sequences: bool = True,
) -> Written:
    """Bring a table to the staged rows by key: only rows that differ are written.

    With `delete` rows that are not staged go, first of all. `update` says whether rows whose key
    is there change, or which of their columns. Values are compared by their stored form: `1.0` and
    `1.00` do differ. It is one statement, so that foreign keys are looked at when all is done.
    """
    names = [c.name for c in columns]
    updated = [name for name in _updated(names, update) if name not in key]
    fixed = [c.name for c in columns if c.name in updated and c.identity == "a"]
    options = {"always": overriding(columns), "count_differing": target.sifted}
    statement = written_by_key(
        target.sql, names, key, delete=delete, update=update, fixed=fixed, **options
    )
    before = count_before(session, target, expect) if delete else 0
    execute(session, packaged_sql("analyze_staged", staged=STAGED, key=key))
    if fixed:
        _refuse_renumbering(session, target, key, fixed)
    if delete:
        refuse_heirs(session, target, key)
    row = _changed(session, target, key, [n for n in updated if n not in fixed], statement)
    differing = row.pop("differing", None)
    written = Written(**row)
    expect.check_deleted(written.deleted, before, target.written)
    if target.sifted:
        unchanged = 0 if differing is None else differing - written.updated
        _refuse_sifted(session, target, key, unchanged, delete=delete)
    if sequences:
        advance_sequences(session, target, names)
    return written


def written_by_key(
    table: RenderedSql,
    columns: Sequence[str],
    key: Sequence[str],
    *,
    delete: bool,
    update: bool | Sequence[str] = True,
    fixed: Sequence[str] = (),
    always: bool = False,
    count_differing: bool = False,
) -> RenderedSql:
    """Return the statement of `write_by_key`; columns that are `fixed` are not updated.

    With `count_differing` it also counts the rows that were to be updated.
    """
    rest = [name for name in _updated(columns, update) if name not in (*key, *fixed)]
    return packaged_sql(
        "write_by_key",
        table=table,
        staged=STAGED,
        changes=CHANGES,
        columns=columns,
        key=key,
        rest=rest,
        delete=delete,
        always=always,
        count_differing=count_differing and bool(rest),
    )


def _changed(
    session: "Session",
    target: Table,
    key: Sequence[str],
    rest: Sequence[str],
    statement: RenderedSql,
) -> dict[str, int]:
    """Run the statement of `written_by_key` over the rows that are new or differ in `rest`."""
    given = {"changed": CHANGES, "staged": STAGED, "table": target.sql, "key": key, "rest": rest}
    with enough_work_memory(session):
        drop_staged(session, CHANGES)
        execute(session, packaged_sql("keep_changes", **given))
        row: dict[str, int] = dict(execute(session, statement).mappings().one())
    drop_staged(session, CHANGES)
    return row


def _refuse_sifted(
    session: "Session", target: Table, key: Sequence[str], unchanged: int, *, delete: bool
) -> None:
    """Refuse that triggers have kept rows from being inserted, updated or deleted."""
    refuse_missing(session, target, key)
    refuse_unchanged(target, unchanged)
    if delete:
        refuse_kept(session, target, key)


def _updated(names: Sequence[str], update: bool | Sequence[str]) -> list[str]:
    if isinstance(update, bool):
        return list(names) if update else []
    return [name for name in names if name in update]


def _refuse_renumbering(
    session: "Session", target: Table, key: Sequence[str], fixed: Sequence[str]
) -> None:
    """Refuse to change what PostgreSQL lets nobody change: GENERATED ALWAYS AS IDENTITY."""
    statement = packaged_sql(
        "differing_identity", table=target.sql, staged=STAGED, key=key, columns=fixed
    )
    count = execute(session, statement).scalar()
    if count:
        raise JobFailure(
            f"{target.written}.{fixed[0]} is GENERATED ALWAYS AS IDENTITY and cannot be updated, "
            f"but {count} rows have another value for it: leave it out of `columns`, or make it "
            "the key"
        )


def overriding(columns: Sequence[Column]) -> bool:
    """Return whether values are given for a column that is GENERATED ALWAYS AS IDENTITY."""
    return any(column.identity == "a" for column in columns)
