"""Refreshes materialized views, so that readers go on reading where that can be."""

from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.template import RenderedSql, quote_identifier

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def refresh(session: "Session", view: RenderedSql, *, concurrently: bool) -> None:
    """Run the view's query again."""
    execute(session, packaged_sql("refresh_view", view=view, concurrently=concurrently))


def is_concurrent(session: "Session", name: str, wanted: bool | None = None) -> bool:
    """Return whether to refresh a view CONCURRENTLY: as `wanted`, or by itself if it can be.

    Raises:
        JobFailure: there is no such materialized view, or it cannot be as it is wanted.
    """
    statement = packaged_sql("view_facts", view=quote_identifier(name))
    found = execute(session, statement).first()
    if found is None:
        raise JobFailure(f"there is no materialized view {name}")
    if found.kind != "m":
        raise JobFailure(f"{name} is no materialized view: there is nothing to refresh")
    possible = bool(found.populated and found.keyed)
    if wanted and not possible:
        raise JobFailure(
            f"{name} cannot be refreshed concurrently: "
            + (
                "it has no unique index over all of its rows, by plain columns; CREATE one"
                if not found.keyed
                else "it has never been filled; leave concurrently out the first time"
            )
        )
    return possible if wanted is None else wanted
