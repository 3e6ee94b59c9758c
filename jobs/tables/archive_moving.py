"""Moves picked rows of a table to its archive, and those of its children with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.archive_losses import PICKED, archived_columns, refuse_lost_children
from headrace.jobs.tables.staging_table import create_schema, lock_name
from headrace.jobs.tables.table_catalog import split_table
from headrace.template import RenderedSql, quote_identifier, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Verify = Literal["none", "count", "checksum"]


@dataclass(frozen=True, slots=True)
class Branch:
    """A table whose rows move, and the tables whose rows go along.

    `picked` is the temporary table that names its rows, `key` the column by which they refer to
    the table above.
    """

    table: str
    into: str
    picked: str = PICKED
    key: str = ""
    children: tuple["Branch", ...] = ()

    def all(self) -> Iterator["Branch"]:
        """Yield this table and those below it, each above its children."""
        yield self
        for child in self.children:
            yield from child.all()


def children_of(given: Mapping[str, Any] | None, into: str, above: str = PICKED) -> list[Branch]:
    """Read the key `children`: `{shop.order_line: order_id}`, or with children of their own.

    Each goes to the schema of `into`, under its own name.

    Raises:
        InvalidPayload: it is anything else.
    """
    found = []
    for place, (table, said) in enumerate((given or {}).items()):
        nested = said if isinstance(said, Mapping) else {"key": said}
        key = nested.get("key")
        if not isinstance(key, str) or nested.keys() - {"key", "children"}:
            raise InvalidPayload(
                f"children: {table} takes the column that refers to the table above, or a mapping "
                "{key: order_id, children: {…}}"
            )
        schema, _ = split_table(into)
        _, name = split_table(table)
        target = ".".join(quote_name(part) for part in (schema, name) if part is not None)
        picked = f"{above}_{place}"
        below = children_of(nested.get("children"), into, picked)
        found.append(Branch(table, target, picked, key, tuple(below)))
    return found


def make_archives(session: "Session", branch: Branch) -> None:
    """Make the archive tables that are missing, each like its table."""
    for one in branch.all():
        lock_name(session, one.into)
        create_schema(session, one.into)
        execute(session, packaged_sql("archive_create", table=one.table, into=one.into))


def move_picked(
    session: "Session", branch: Branch, *, keep: bool = False, verify: Verify = "count"
) -> dict[str, int]:
    """Move the rows of `branch.picked`, which are held, with their children; return each number.

    With `keep` they are copied. Children are copied after their parents and deleted before them.

    Raises:
        JobFailure: rows would be lost, or the archive has not stored what was there.
    """
    pick_children(session, branch, keep=keep)
    named = {one.table for one in branch.all()}
    for one in branch.all():
        execute(session, packaged_sql("archive_analyze", picked=one.picked))
        if not keep:
            refuse_lost_children(session, one.table, one.picked, named)
    counts = {one.table: _copy(session, one, verify) for one in branch.all()}
    if not keep:
        delete_picked(session, branch, counts)
    return counts


def pick_children(session: "Session", branch: Branch, *, keep: bool, holds: bool = True) -> None:
    """Name and hold the rows that refer to picked ones, level by level."""
    for child in branch.children:
        referred = execute(
            session,
            packaged_sql(
                "archive_referred",
                child=quote_identifier(child.table),
                table=quote_identifier(branch.table),
                column=child.key,
            ),
        ).scalar()
        if referred is None:
            raise JobFailure(
                f"{child.table}.{child.key} does not refer to {branch.table} by a foreign key of "
                "one column, and that table has no primary key of one column either"
            )
        execute(
            session,
            packaged_sql(
                "archive_pick_children",
                picked=child.picked,
                table=child.table,
                parent=branch.table,
                parent_picked=branch.picked,
                referred=referred,
                column=child.key,
                keep=keep,
                holds=holds,
            ),
        )
        pick_children(session, child, keep=keep, holds=holds)


def delete_picked(session: "Session", branch: Branch, stored: Mapping[str, int]) -> None:
    """Delete the picked rows, children first.

    Raises:
        JobFailure: a trigger or a rule keeps rows back.
    """
    for one in reversed(list(branch.all())):
        statement = packaged_sql("archive_delete", table=one.table, picked=one.picked)
        gone = execute(session, statement).scalar_one()
        if gone != stored[one.table]:
            raise JobFailure(_kept_back(one, stored[one.table], gone, stored[one.table]))


def _copy(session: "Session", one: Branch, verify: Verify) -> int:
    columns = archived_columns(session, one.table, one.into)
    values = {
        "table": one.table,
        "into": one.into,
        "picked": one.picked,
        "columns": RenderedSql(", ".join(columns), {}),
        "old_columns": old_columns(columns),
        "checksum": verify == "checksum",
    }
    there = execute(session, packaged_sql("archive_picked", **values)).one()
    stored = execute(session, packaged_sql("archive_insert", **values)).one()
    if verify != "none" and there.rows_found != stored.rows_found:
        found = there.rows_found
        raise JobFailure(_kept_back(one, found, found, stored.rows_found))
    if verify == "checksum" and there.checksum != stored.checksum:
        raise JobFailure(
            f"the checksum of the rows in {one.into} is not that of the rows of {one.table}: a "
            "trigger or a type of the archive changes values. Nothing was moved"
        )
    return int(there.rows_found)


def copied(branch: Branch, columns: list[str], *, checksum: bool) -> RenderedSql:
    """Return the statement that copies the picked rows, for a preview."""
    return packaged_sql(
        "archive_insert",
        picked=branch.picked,
        table=branch.table,
        into=branch.into,
        columns=RenderedSql(", ".join(columns), {}),
        old_columns=old_columns(columns),
        checksum=checksum,
    )


def old_columns(columns: list[str]) -> RenderedSql:
    """Return quoted columns as those of the rows that are to move."""
    return RenderedSql(", ".join(f"old.{column}" for column in columns), {})


def _kept_back(one: Branch, picked: int, moved: int, stored: int) -> str:
    return (
        f"of {picked} old rows of {one.table}, {moved} could be deleted "
        f"and {stored} stored in {one.into}: a trigger or a rule of one of the "
        "two tables keeps rows back"
    )


def tell_batch(number: int, moved: int, total: int) -> None:
    """Log how many rows the batch of this number has moved, and show the total as progress."""
    logger.info("Batch %d: %s, %d so far", number, number_of(moved, "row"), total)
    jobapi.meter().show(total)


def tell_moved(rows: int, into: str) -> None:
    """Log how many rows were moved, and into which table or file."""
    logger.info("Moved %s into %s", number_of(rows, "row"), into)
