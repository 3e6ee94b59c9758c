"""Stores rows in a table: a new one, or one that keeps what it is."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.row_replacement import (
    ReplaceStrategy,
    Written,
    check_keys,
    has_other_values,
    replace_rows,
    write_by_key,
)
from headrace.jobs.tables.schema_drift import Agreement, OnSchemaChange, agree
from headrace.jobs.tables.staging_table import (
    drop_staged,
    lock_name,
    lock_rows,
    stage_rows,
    staged_table,
)
from headrace.jobs.tables.table_catalog import Table, split_table, writable_table
from headrace.jobs.tables.table_creation import make_of_staged
from headrace.jobs.tables.type_fitting import fit, look_at
from headrace.template import RenderedSql


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows in the temporary table `STAGED`: their number, and the table that they come from."""

    rows: int
    model: Table | None = None


def replace_table(
    session: Session,
    table: str,
    query: RenderedSql,
    *,
    on_schema_change: OnSchemaChange = "fail",
) -> int:
    """Make `table` hold exactly the query's rows, and return how many they are.

    Raises as `store_staged`.
    """
    split_table(table)  # A wrong name is told before the query runs.
    rows = stage_rows(session, query)
    if not staged_table(session).columns:
        raise JobFailure(f"the query has no columns: there is nothing to store in {table}")
    store_staged(session, table, Staged(rows), on_schema_change=on_schema_change)
    return rows


def store_staged(
    session: Session,
    table: str,
    staged: Staged,
    *,
    on_schema_change: OnSchemaChange = "fail",
    strategy: ReplaceStrategy = "insert_from_staging",
) -> None:
    """Make `table` hold exactly the staged rows; it is made where it is missing, its schema too.

    A table that is there keeps its definition, owner, rights and other columns; values are cast
    as an assignment does. Readers see the old rows until the job commits.

    Raises:
        JobFailure: the rows do not fit the table, and `on_schema_change` does not tell what to do.
    """
    lock_name(session, table)
    target = writable_table(session, table)
    if target is None:
        make_of_staged(session, table, staged.rows, model=staged.model)
    else:
        _store_in(session, target, staged, on_schema_change, strategy)
    drop_staged(session)


def _store_in(
    session: Session,
    target: Table,
    staged: Staged,
    policy: OnSchemaChange,
    strategy: ReplaceStrategy,
) -> None:
    agreed = _agreed(session, target, staged, policy, replaces=True)
    if agreed.anew:
        logger.warning(
            "%s is dropped and created again, without its privileges and indexes", target.written
        )
        execute(session, packaged_sql("drop_exactly", table=target.sql))
        make_of_staged(session, target.written, staged.rows, model=staged.model)
        return
    fit(session, target, agreed.columns, staged.model, staged.rows)
    lock_rows(session, target)
    keep_others = has_other_values(session, target, agreed.others)
    if keep_others and agreed.lose:
        keep_others = False
        names = ", ".join(column.name for column in agreed.others)
        logger.warning("What %s had in %s goes with its old rows", target.written, names)
    replace_rows(
        session,
        target,
        agreed.columns,
        staged.rows,
        strategy=strategy,
        changes=agreed.changes,
        keep_others=keep_others,
    )


def merge_staged(
    session: Session,
    table: str,
    staged: Staged,
    key: list[str],
    *,
    delete: bool,
    on_schema_change: OnSchemaChange = "fail",
) -> Written:
    """Bring `table` to the staged rows by key; where it is missing, it is made with that key.

    Raises:
        JobFailure: the key is null or not unique, or as `store_staged`.
    """
    source = staged.model.written if staged.model else table
    lock_name(session, table)
    target = writable_table(session, table)
    if target is None:
        check_keys(session, key, source)
        make_of_staged(session, table, staged.rows, model=staged.model, key=key)
        return Written(inserted=staged.rows)
    agreed = _agreed(session, target, staged, on_schema_change, replaces=False)
    fit(session, target, agreed.columns, staged.model, staged.rows)
    missing = [name for name in key if name not in {c.name for c in agreed.columns}]
    if missing:
        raise JobFailure(f"{table} has no column {missing[0]!r}, which is the key")
    check_keys(session, key, source)
    lock_rows(session, target)
    for change in agreed.changes:
        execute(session, change)
    written = write_by_key(session, target, agreed.columns, key, delete=delete)
    drop_staged(session)
    return written


def _agreed(
    session: Session, target: Table, staged: Staged, policy: OnSchemaChange, *, replaces: bool
) -> Agreement:
    drift = look_at(session, target, staged.model)
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
