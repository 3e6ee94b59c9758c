"""Puts staged rows into a table that is there and stays: in place of its rows, or by key.

The rows are made ready in a temporary table first (`STAGED`, with the target's own types, see
`staging_table.make_staging` and `type_fitting.fit`), so that the target is held for the shortest
time. Its definition, owner, rights, indexes, policies and triggers are not touched.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import (
    NOTHING_EXPECTED,
    Expectation,
    check_replaced,
)
from headrace.jobs.tables.kept_rows import (
    refuse_heirs,
    refuse_kept,
)
from headrace.jobs.tables.key_merge import overriding, write_by_key
from headrace.jobs.tables.sequences import advance_sequences
from headrace.jobs.tables.staged_keys import check_keys
from headrace.jobs.tables.staging_table import STAGED
from headrace.jobs.tables.table_catalog import Column, Table, writable_table
from headrace.jobs.tables.table_swap import swap
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ReplaceStrategy = Literal["insert_from_staging", "truncate_and_insert"]
AnyStrategy = Literal["insert_from_staging", "truncate_and_insert", "swap"]
"""What a job that replaces a whole table can do."""


def replace_rows(
    session: "Session",
    target: Table,
    columns: Sequence[Column],
    rows: int,
    *,
    strategy: AnyStrategy = "insert_from_staging",
    changes: Sequence[RenderedSql] = (),
    keep_others: bool = False,
    expect: Expectation = NOTHING_EXPECTED,
) -> None:
    """Make a table hold exactly the staged rows, `rows` in number, in these columns.

    `columns` are the target's own; others take their defaults. The target must be locked.

    - `insert_from_staging`: DELETE and INSERT. Readers see the old rows until the job commits.
    - `truncate_and_insert`: TRUNCATE and INSERT. Quicker, and leaves no dead rows, but readers
      wait, and those of an older snapshot find the table empty.
    - `swap`: a new table takes the place of the old one, see `table_swap`.
    - By key where another table's foreign key points here, or with `keep_others`, which keeps the
      values of the other columns. `changes` are made when its rows are gone.

    Raises:
        JobFailure: the table cannot be replaced, kept an old row, or refused new ones or `expect`.
    """
    if strategy == "swap":
        target = _replace_by_swap(session, target, columns, rows, changes, expect, keep_others)
    elif target.referenced or keep_others:
        _replace_by_key(session, target, columns, changes, expect)
    else:
        check_loss(session, target, columns, expect)
        refuse_heirs(session, target)
        template = "truncate_only" if strategy == "truncate_and_insert" else "delete_all"
        execute(session, packaged_sql(template, table=target.sql))
        if target.sifted:
            refuse_kept(session, target)
        for change in changes:
            execute(session, change)
        insert_all(session, target, columns, rows)
    advance_sequences(session, target, [column.name for column in columns])


def _replace_by_swap(
    session: "Session",
    target: Table,
    columns: Sequence[Column],
    rows: int,
    changes: Sequence[RenderedSql],
    expect: Expectation,
    keep_others: bool,
) -> Table:
    if keep_others:
        raise JobFailure(
            f"{target.written} has values in columns that the rows do not have, and a new table "
            "would lose them: take replace_strategy: insert_from_staging, which keeps them by key"
        )
    check_loss(session, target, columns, expect)
    for change in changes:
        execute(session, change)
    swap(session, target, columns, rows)
    made = writable_table(session, target.written)
    assert made is not None, "it was just put there"
    return made


def insert_statement(table: RenderedSql, columns: Sequence[str], *, always: bool) -> RenderedSql:
    """Return the INSERT of all staged rows."""
    return packaged_sql("insert_staged", table=table, staged=STAGED, columns=columns, always=always)


def insert_all(session: "Session", target: Table, columns: Sequence[Column], rows: int) -> None:
    """Insert all staged rows, `rows` in number.

    Raises:
        JobFailure: the table has not taken all of them.
    """
    names = [column.name for column in columns]
    statement = insert_statement(target.sql, names, always=overriding(columns))
    stored = execute(session, statement).rowcount
    if stored != rows:
        raise JobFailure(
            f"{target.written} took {stored} of {rows} rows: a trigger or a rule of it keeps the "
            "others away"
        )


def _replace_by_key(
    session: "Session",
    target: Table,
    columns: Sequence[Column],
    changes: Sequence[RenderedSql],
    expect: Expectation,
) -> None:
    key = key_of(session, target, [column.name for column in columns])
    check_keys(session, key, target.written)
    for change in changes:
        execute(session, change)
    written = write_by_key(session, target, columns, key, delete=True, expect=expect)
    logger.info(
        "The rows of %s were written by key (%s), because %s: %d inserted, %d updated, %d deleted",
        target.written, ", ".join(key), _why_by_key(target),
        written.inserted, written.updated, written.deleted,
    )  # fmt: skip
    if written.deleted:
        tell_cascades(session, target)


def check_loss(
    session: "Session", target: Table, columns: Sequence[Column], expect: Expectation
) -> None:
    """Fail where the staged rows, put in place of a table's, would delete more than is expected.

    Raises:
        JobFailure: with the numbers.
    """
    key = _unique_key(session, target, [column.name for column in columns])
    check_replaced(session, target, key, STAGED, expect)


def _unique_key(session: "Session", target: Table, names: Sequence[str]) -> list[str] | None:
    for row in execute(session, packaged_sql("unique_keys", oid=target.oid)):
        if set(row.columns) <= set(names):
            return list(row.columns)
    return None


def key_of(session: "Session", target: Table, names: Sequence[str]) -> list[str]:
    """Return the unique key by which rows with these columns are found.

    Raises:
        JobFailure: the table has none.
    """
    key = _unique_key(session, target, names)
    if key is not None:
        return key
    raise JobFailure(
        f"{_why_by_key(target)}, so the rows of {target.written} can only be written by key, and "
        f"the new ones have none of its unique keys: they have {', '.join(names)}"
        + ("" if target.referenced else ". Where those values may go, set on_schema_change: ignore")
    )


def _why_by_key(target: Table) -> str:
    if target.referenced:
        return "other tables refer to it"
    return "it has values in columns that the new rows lack"


def tell_cascades(session: "Session", target: Table) -> None:
    """Tell which tables' rows were changed or deleted with the deleted ones."""
    statement = packaged_sql("cascading_children", oid=target.oid)
    for row in execute(session, statement):
        logger.warning(
            "Rows of %s that referred to deleted rows of %s %s (%s)",
            row.child, target.written, row.fate, row.name,
        )  # fmt: skip
