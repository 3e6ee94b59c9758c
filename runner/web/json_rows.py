"""Rows as JSON: columns by their names, ids and times as ISO texts; pages of them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from starlette.responses import Response

from headrace.engine.application import Headrace
from headrace.errors import InvalidParams, NotFound
from headrace.model import exact_json
from headrace.store.database import Row

# What templates need of a run's plan; in runs of earlier versions all of it, as long as the jobs.
_INTERNAL = frozenset({"plan"})


class Answer(Response):
    """JSON of rows as they come out of the database."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return to_json(content).encode()


def to_json(content: Any) -> str:
    """Return rows as JSON text."""
    return exact_json.dumps(content, default=_plain, ensure_ascii=False, compact=True)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def public(row: Mapping[str, Any]) -> Row:
    """Return a row as the outside sees it."""
    return {name: value for name, value in row.items() if name not in _INTERNAL}


def page(
    read: Callable[[UUID | None, int], Sequence[Row]], cursor: str | None, limit: int
) -> dict[str, Any]:
    """Return one page of a listing that is in the order of falling ids.

    `read` takes the last id of the page before and the most rows that are wanted.

    Raises:
        InvalidParams: The cursor is none that an earlier page gave.
    """
    rows = read(id_of(cursor), limit + 1)
    items = [public(row) for row in rows[:limit]]
    return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}


def id_of(cursor: str | None) -> UUID | None:
    """Return the id that a page begins after.

    Raises:
        InvalidParams: The cursor is none that an earlier page gave.
    """
    try:
        return None if cursor is None else UUID(cursor)
    except ValueError:
        raise InvalidParams("cursor takes the `next` of the previous page") from None


def found(headrace: Headrace, noun: str, row_id: str) -> Row:
    """Return the row of a `job` or a `run`.

    Raises:
        NotFound: There is none, or the id is none.
    """
    try:
        row = headrace.database.row(noun, id=UUID(row_id))
    except ValueError:
        row = None
    if row is None:
        raise NotFound(f"there is no {noun} {row_id}")
    return row
