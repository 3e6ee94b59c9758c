"""Refuses a table that keeps old rows or does not take new ones, by triggers, rules or heirs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.staging_table import STAGED
from headrace.jobs.tables.table_catalog import Table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def refuse_missing(session: "Session", target: Table, key: Sequence[str]) -> None:
    """Refuse to have lost rows to a trigger: each key that was staged has to be there."""
    statement = packaged_sql("missing_keys", table=target.sql, staged=STAGED, key=key)
    missing = execute(session, statement).scalar()
    if missing:
        raise JobFailure(
            f"{target.written} did not store {missing} of the rows: a trigger rejects them"
        )


def refuse_unchanged(target: Table, kept: int) -> None:
    """Refuse to have left `kept` rows as they were that differ from the staged ones."""
    if kept > 0:
        raise JobFailure(
            f"{target.written} did not change {kept} of the rows: a trigger discards their new "
            "values"
        )


def refuse_kept(session: "Session", target: Table, key: Sequence[str] = ()) -> None:
    """Refuse to leave rows that were to be deleted: all but those whose key is staged."""
    if target.readable and _unstaged_row(session, target, key):
        raise JobFailure(
            f"{target.written} kept rows that should be deleted: a trigger or a rule keeps "
            "them. Remove it, or choose a table without one"
        )


def refuse_heirs(session: "Session", target: Table, key: Sequence[str] = ()) -> None:
    """Refuse to delete rows of the tables that inherit from the target."""
    if target.heirs and _unstaged_row(session, target, key, heirs_of=target.oid):
        raise JobFailure(
            f"rows of {target.heirs}, which inherits from {target.written}, would be deleted with "
            "the old ones, and what they have in columns of their own would be lost: choose a "
            "table that nothing inherits from, or move those rows first"
        )


def _unstaged_row(
    session: "Session", target: Table, key: Sequence[str], *, heirs_of: int | None = None
) -> bool:
    statement = packaged_sql(
        "unstaged_row", table=target.sql, staged=STAGED, key=key, heirs_of=heirs_of
    )
    return bool(execute(session, statement).scalar())
