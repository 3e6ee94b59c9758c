"""Stores rows in a table: a new one, or one that keeps what it is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import NOTHING_EXPECTED, Expectation
from headrace.jobs.tables.key_merge import Written, write_by_key
from headrace.jobs.tables.row_replacement import (
    AnyStrategy,
    check_loss,
    insert_statement,
    replace_rows,
)
from headrace.jobs.tables.schema_drift import Agreement, OnSchemaChange, agree
from headrace.jobs.tables.staged_keys import check_keys
from headrace.jobs.tables.staging_table import (
    drop_staged,
    lock_name,
    lock_rows,
    stage_rows,
    staged_table,
)
from headrace.jobs.tables.table_catalog import Column, Table, split_table, writable_table
from headrace.jobs.tables.table_creation import make_of_staged
from headrace.jobs.tables.type_fitting import fit, look_at
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows in the temporary table `STAGED`: their number, and the table that they come from.

    `source` is what errors call where they come from, if it is no table.
    """

    rows: int
    model: Table | None = None
    source: str | None = None


def replace_table(
    session: "Session",
    table: str,
    query: RenderedSql,
    *,
    on_schema_change: OnSchemaChange = "fail",
    expect: Expectation = NOTHING_EXPECTED,
) -> int:
    """Make `table` hold exactly the query's rows, and return how many they are.

    Raises as `store_staged`.
    """
    split_table(table)  # A wrong name is told before the query runs.
    rows = stage_rows(session, query)
    if not staged_table(session).columns:
        raise JobFailure(f"the query has no columns: there is nothing to store in {table}")
    store_staged(session, table, Staged(rows), on_schema_change=on_schema_change, expect=expect)
    return rows


def store_staged(
    session: "Session",
    table: str,
    staged: Staged,
    *,
    on_schema_change: OnSchemaChange = "fail",
    strategy: AnyStrategy = "insert_from_staging",
    expect: Expectation = NOTHING_EXPECTED,
    keeps_other_values: bool = True,
) -> None:
    """Make `table` hold exactly the staged rows; it is made where it is missing, its schema too.

    A table that is there keeps its definition, owner, rights and other columns, and what stands
    in these unless `keeps_other_values` is false; values are cast as an assignment does. Readers
    see the old rows until the job commits.

    Raises:
        JobFailure: the rows do not fit the table, and `on_schema_change` does not tell what to do,
            or they are not what `expect` says.
    """
    expect.check_rows(staged.rows, table)
    lock_name(session, table)
    target = writable_table(session, table)
    if target is None:
        make_of_staged(session, table, staged.rows, model=staged.model)
    else:
        agreed = agree_on(session, target, staged, on_schema_change, replaces=True)
        if agreed.anew:
            check_loss(session, target, agreed.columns, expect)
            _make_anew(session, target, staged)
        else:
            keeps = keeps_other_values
            _replace(session, target, staged, agreed, strategy, expect, may_keep=keeps)
    drop_staged(session)


def _replace(
    session: "Session",
    target: Table,
    staged: Staged,
    agreed: Agreement,
    strategy: AnyStrategy,
    expect: Expectation,
    *,
    may_keep: bool,
) -> None:
    fit(session, target, agreed.columns, staged.model, staged.rows)
    lock_rows(session, target)
    replace_rows(
        session,
        target,
        agreed.columns,
        staged.rows,
        strategy=strategy,
        changes=agreed.changes,
        keep_others=may_keep and keeps_others(session, target, agreed),
        expect=expect,
    )


def _make_anew(session: "Session", target: Table, staged: Staged) -> None:
    logger.warning(
        "%s is dropped and created again, without its privileges and indexes", target.written
    )
    execute(session, packaged_sql("drop_exactly", table=target.sql))
    make_of_staged(session, target.written, staged.rows, model=staged.model)


def keeps_others(session: "Session", target: Table, agreed: Agreement) -> bool:
    """Return whether the target's other columns have values, which stay."""
    if not _has_other_values(session, target, agreed.others):
        return False
    if agreed.lose:
        names = ", ".join(column.name for column in agreed.others)
        logger.warning("What %s had in %s goes with its old rows", target.written, names)
    return not agreed.lose


def _has_other_values(session: "Session", target: Table, others: Sequence[Column]) -> bool:
    """Return whether a row has a value in one of these columns that is not the column's default.

    What a default calculates anew for each row (`now()`) is nobody's data.
    """
    filled = []
    for column in others:
        name = quote_name(column.name)
        if not column.has_default:
            filled.append(f"{name} IS NOT NULL")
        elif column.constant is not None:
            filled.append(f"{name}::text IS DISTINCT FROM ({column.default})::text")
    if not filled:
        return False
    condition = RenderedSql(" OR ".join(filled), {})
    statement = packaged_sql("any_row", table=target.sql, condition=condition)
    return bool(execute(session, statement).scalar())


def append_staged(
    session: "Session",
    target: Table,
    staged: Staged,
    *,
    on_schema_change: OnSchemaChange = "fail",
    expect: Expectation = NOTHING_EXPECTED,
) -> tuple[int, tuple[Column, ...]]:
    """Insert the staged rows; returns how many the table took, and the columns that have them.

    Raises:
        JobFailure: as `store_staged`.
    """
    expect.check_rows(staged.rows, target.written)
    agreed = agree_on(session, target, staged, on_schema_change, replaces=False)
    fit(session, target, agreed.columns, staged.model, staged.rows)
    for change in agreed.changes:
        execute(session, change)
    names = [column.name for column in agreed.columns]
    always = any(column.identity == "a" for column in agreed.columns)
    stored = execute(session, insert_statement(target.sql, names, always=always)).rowcount
    drop_staged(session)
    return stored, agreed.columns


def merge_staged(
    session: "Session",
    table: str,
    staged: Staged,
    key: list[str],
    *,
    delete: bool,
    update: bool | Sequence[str] = True,
    on_schema_change: OnSchemaChange = "fail",
    expect: Expectation = NOTHING_EXPECTED,
) -> Written:
    """Bring `table` to the staged rows by key; where it is missing, it is made with that key.

    `update` says whether rows whose key is there change, or which of their columns.

    Raises:
        JobFailure: the key is null or not unique, or as `store_staged`.
    """
    source = staged.source or (staged.model.written if staged.model else table)
    expect.check_rows(staged.rows, table)
    lock_name(session, table)
    target = writable_table(session, table)
    if target is None:
        check_keys(session, key, source)
        make_of_staged(session, table, staged.rows, model=staged.model, key=key)
        return Written(inserted=staged.rows)
    columns = ready_by_key(session, target, staged, key, on_schema_change)
    written = write_by_key(
        session,
        target,
        columns,
        key,
        delete=delete,
        update=update,
        expect=expect,
    )
    drop_staged(session)
    return written


def ready_by_key(
    session: "Session",
    target: Table,
    staged: Staged,
    key: Sequence[str],
    policy: OnSchemaChange = "fail",
    *,
    unique: bool = True,
    filled: Collection[str] = (),
) -> tuple[Column, ...]:
    """Make staged rows and target ready for each other; returns the columns to write.

    The target is locked and has its new columns; the rows have its types, and a key that is never
    null and, unless `unique` is false, occurs once. Columns that are `filled` by the job itself
    need no value.

    Raises:
        JobFailure: as `merge_staged`.
    """
    source = staged.source or (staged.model.written if staged.model else target.written)
    agreed = agree_on(session, target, staged, policy, replaces=False, filled=filled)
    fit(session, target, agreed.columns, staged.model, staged.rows)
    missing = [name for name in key if name not in {c.name for c in agreed.columns}]
    if missing:
        raise JobFailure(f"{target.written} has no column {missing[0]!r}, which is the key")
    if unique:
        check_keys(session, key, source)
    lock_rows(session, target)
    for change in agreed.changes:
        execute(session, change)
    return agreed.columns


def agree_on(
    session: "Session",
    target: Table,
    staged: Staged,
    policy: OnSchemaChange,
    *,
    replaces: bool,
    filled: Collection[str] = (),
) -> Agreement:
    """Return how the staged rows are written to the table, and tell what is left out.

    Raises:
        JobFailure: they do not fit, and the policy does not tell what to do.
    """
    drift = look_at(session, target, staged.model, filled)
    agreed = agree(drift, policy, replaces=replaces)
    for note in agreed.notes:
        logger.warning("%s", note)
    if target.filtered:
        logger.warning(
            "Row level security applies to %s: rows that the role %s may not see stay as they are",
            target.written,
            target.role,
        )
    return agreed
