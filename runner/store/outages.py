"""Recognises errors of PostgreSQL that mean an outage, which has to be waited for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import errorcodes

from headrace.errors import StoreUnavailable
from headrace.store.session_end_reason import keep_parting_words, parting_words


def tells_of_a_break(error: BaseException) -> bool:
    """Return whether an error may mean that its connection is gone.

    The driver does not always know yet: a server that shuts down, or ends a session for having
    idled too long, says so in an ordinary error.
    """
    cause = getattr(error, "orig", error)
    if not isinstance(cause, psycopg2.Error):
        return False
    return cause.pgcode is None or cause.pgcode.startswith(_BREAKS)


# A shutdown, a connection's failure; idle in a transaction, or in one, for longer than allowed.
_BREAKS = ("57P", "08", "25P03", "25P04")


def refuses_writes(error: BaseException) -> bool:
    """Return whether a server has refused bookkeeping because it is read-only: an outage."""
    return getattr(getattr(error, "orig", error), "pgcode", None) == READ_ONLY


READ_ONLY = "25006"


def lacks_means(error: BaseException) -> bool:
    """Return whether a server could not do what it was asked: its disk is full, say, or fails."""
    code = getattr(getattr(error, "orig", error), "pgcode", None)
    return str(code).startswith(("53", "58"))


def transient(error: BaseException) -> bool:
    """Return whether a transaction was undone for another one's sake: a deadlock, say."""
    code = getattr(getattr(error, "orig", error), "pgcode", None)
    return str(code).startswith("40")


def misses_something(error: BaseException) -> bool:
    """Return whether a server does not have, or not give to our role, what a statement names."""
    code = getattr(getattr(error, "orig", error), "pgcode", None)
    return str(code).startswith("42")


def unavailable_message(error: BaseException) -> str:
    """Return one line for the user; libpq's text carries host and reason, never a password."""
    cause = getattr(error, "orig", error)
    keep_parting_words(cause)
    reason = " ".join([*parting_words(cause).split(), *str(cause).split()])
    if refuses_writes(error):
        return f"PostgreSQL takes no writes: it is a standby, or read-only for now ({reason})"
    if getattr(cause, "pgcode", "") == errorcodes.DISK_FULL:
        return f"PostgreSQL's disk is full ({reason})"
    return f"PostgreSQL does not answer: {reason}"


@contextmanager
def reported() -> Iterator[None]:
    """Turn a lost connection, or a read-only server, into `StoreUnavailable`; pass other errors."""
    try:
        yield
    except psycopg2.Error as error:
        lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
        if lost or refuses_writes(error) or tells_of_a_break(error):
            raise StoreUnavailable(unavailable_message(error)) from error
        raise
    except Exception as error:
        # Where SQLAlchemy has raised it, it is loaded; a command that only looks does without.
        known: Any = sys.modules.get("sqlalchemy.exc")
        if known is None or not isinstance(error, known.DBAPIError):
            raise
        if isinstance(error, known.OperationalError) or error.connection_invalidated:
            raise StoreUnavailable(unavailable_message(error)) from error
        raise
