"""The server's reason for ending a session, which the driver drops.

Of a FATAL message and the connection's end the driver raises the second alone. libpq keeps both
until the connection is closed.
"""

from typing import Any

import psycopg2

from headrace.store.parsing import last_said

_FATAL = "FATAL:"


def note_parting_words(context: Any) -> None:
    """Listen to SQLAlchemy's errors: keep the reason before the pool closes the connection."""
    keep_parting_words(context.original_exception)


def keep_parting_words(error: BaseException) -> None:
    """Add to an error of the driver's why the server has ended the session, where it said so."""
    raw = getattr(getattr(error, "cursor", None), "connection", None)
    if not isinstance(error, psycopg2.Error) or not getattr(raw, "closed", 0):
        return
    for line in last_said(raw).splitlines():
        if line.startswith(_FATAL) and not parting_words(error):
            error.add_note(line.removeprefix(_FATAL).strip())


def parting_words(error: BaseException) -> str:
    """Return the reason that was kept, or ""."""
    return "; ".join(getattr(getattr(error, "orig", error), "__notes__", ()))
