"""Finds what would be lost if old rows of a table were moved to an archive, before they are."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.template import RenderedSql, quote_identifier

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

PICKED = "headrace_picked_rows"
"""The temporary table that names the rows which are to move."""

# What takes any value of another type as it is written.
_WIDE = {"text", "character varying"}
_WIDER = {
    "smallint": {"integer", "bigint", "numeric"},
    "integer": {"bigint", "numeric"},
    "bigint": {"numeric"},
    "real": {"double precision"},
    "json": {"jsonb"},
}


def refuse_unfit_table(
    session: "Session", table: str, into: str, column: str, *, apart: bool = False
) -> None:
    """Refuse to archive where age cannot be told, or where an archive would not be one.

    `apart`: the archive is in another database.

    Raises:
        JobFailure: naming what is wrong and what to do.
    """
    facts = _rows(session, "archive_facts", table=_quoted(table), into=_quoted(into), column=column)
    if not facts:
        raise JobFailure(f"there is no table {table}")
    (found,) = facts
    if found.type is None:
        raise JobFailure(f"{table} has no column {column!r}")
    if found.category != "D":
        raise JobFailure(
            f"{table}.{column} is {found.type}, which is compared letter by letter or by number, "
            "not by time: name a column of type date, timestamp or timestamptz"
        )
    if found.same and not apart:
        raise JobFailure(f"{into} is {table} itself, or a part of it: choose another one")
    if found.heirs:
        raise JobFailure(
            f"the tables {found.heirs} inherit from {table}; their own columns would be lost: "
            "archive each of them in its own step"
        )


def archived_columns(session: "Session", table: str, into: str) -> list[str]:
    """Return the columns to move, quoted; one that the archive generates itself is left out.

    Raises:
        JobFailure: the archive lacks a column, or would change its values.
    """
    found = _rows(session, "archive_columns", table=_quoted(table), into=_quoted(into))
    missing = [one for one in found if one.missing]
    if missing:
        add = ", ".join(f"ADD COLUMN {one.quoted} {one.type}" for one in missing)
        names = ", ".join(one.name for one in missing)
        raise JobFailure(f"{into} lacks columns of {table}: {names}; ALTER TABLE {into} {add}")
    for one in found:
        if not one.generated and not _holds(one.type, one.archive_type):
            raise JobFailure(
                f"{into}.{one.name} is {one.archive_type}, {table}.{one.name} is {one.type}: "
                f"values could change; ALTER TABLE {into} ALTER COLUMN {one.quoted} "
                f"TYPE {one.type}"
            )
    return [one.quoted for one in found if not one.generated]


def refuse_lost_children(
    session: "Session", table: str, picked: str, taken_along: Collection[str]
) -> None:
    """Refuse to move rows with which others would be deleted, or lose what they refer to.

    The rows to move are held by then, so that no other transaction can refer to them anew. Of
    tables that are `taken_along` the rows that refer to them move, too.

    Raises:
        JobFailure: naming the tables with such rows.
    """
    lost = []
    along = [_quoted(one) for one in taken_along if one != table]
    for key in _rows(session, "archive_referrers", table=_quoted(table), along=along):
        count = execute(
            session,
            packaged_sql(
                "archive_referring",
                child=RenderedSql(key.child, {}),
                refers=RenderedSql(key.refers, {}),
                itself=key.itself,
                table=table,
                picked=picked,
            ),
        ).scalar_one()
        if count:
            lost.append(f"{count} of {key.child} ({key.action})")
    if lost:
        raise JobFailure(
            f"rows refer to the old rows of {table} and would be deleted or changed with them: "
            f"{', '.join(lost)}; name them in `children`, or archive those first, in an earlier "
            "step"
        )


def _holds(old: str, new: str) -> bool:
    return (
        old == new
        or new in _WIDE
        or new in _WIDER.get(old, ())
        or (new == "numeric" and old.startswith("numeric("))
    )


def _rows(session: "Session", template: str, **values: Any) -> list[Any]:
    return list(execute(session, packaged_sql(template, **values)))


def _quoted(table: str) -> str:
    return quote_identifier(table)
