"""A database's errors, worded for the person who wrote the SQL."""

import re
from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2 import errorcodes

from headrace.errors.shortened import shortened

# What the driver puts before a query that is read piece by piece; nobody has written it.
_DECLARED = re.compile(r'^DECLARE ".*?" (?:NO SCROLL |SCROLL )?CURSOR WITH(?:OUT)? HOLD FOR ')
_LINK = re.compile(r"\s*\(Background on this error at: https://sqlalche\.me/\S+\)")
_LONGEST_LINE = 200


def without_link(text: str) -> str:
    """Return a text without the link that a library adds to its errors."""
    return _LINK.sub("", text)


def told_error(error: BaseException, place_of: Callable[[str], str | None]) -> str | None:
    """Return what the server said, with the SQLSTATE's name and the line; None if it said nothing.

    `place_of` says where a line of the SQL stands in what the user wrote.
    """
    cause: Any = getattr(error, "orig", error)
    if not isinstance(cause, psycopg2.Error) or cause.pgcode is None:
        return None
    diag = cause.diag
    name = _name(cause.pgcode)
    lines = [f"{diag.message_primary or str(cause).strip()} [{name}]"]
    line = _line(cause)
    if line is not None:
        place = place_of(line)
        lines[0] = f"{place}: {lines[0]}" if place else lines[0]
        lines.append(f"  line: {shortened(line.strip(), _LONGEST_LINE)}")
    if diag.message_detail:
        lines.append(f"  detail: {diag.message_detail}")
    if diag.message_hint:
        lines.append(f"  hint: {diag.message_hint}")
    if diag.context:
        lines.append(f"  where: {diag.context.strip().splitlines()[0]}")
    return "\n".join(lines)


def _name(code: str) -> str:
    try:
        return errorcodes.lookup(code).lower()
    except KeyError:
        return code


def _line(error: Any) -> str | None:
    """Return the line of the statement that the server points at."""
    position, sent = error.diag.statement_position, _sent(error)
    if position is None or sent is None:
        return None
    before = sent[: int(position) - 1]
    begin = before.rfind("\n") + 1
    end = sent.find("\n", begin)
    return _DECLARED.sub("", sent[begin : end if end >= 0 else None])


def _sent(error: Any) -> str | None:
    sent = getattr(error, "sent", None) or getattr(error.cursor, "query", None)
    return sent.decode(errors="replace") if isinstance(sent, bytes) else None
