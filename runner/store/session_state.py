"""Resets the state that a job may have left in a session of our own statements.

A job's SQL may change its role, its search path, its timeouts, and more, and what is recorded in
its transaction comes after that.
"""

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg2

from headrace.store.session_settings import OWN_SEARCH_PATH
from headrace.store.statements import STATEMENTS

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Sent ahead of the bookkeeping in a job's transaction, in one message with it. The path comes
# before the statement that uses functions, and that one asks first: who is no superuser may not
# even reset its setting.
_IN_TRANSACTION = (
    "SET statement_timeout = 0; SET lock_timeout = 0; RESET SESSION AUTHORIZATION; RESET ROLE;"
    f" SET search_path = {OWN_SEARCH_PATH}; "
)
# The same where what comes next is a transaction of ours.
_IN_ORDER = (
    f"{_IN_TRANSACTION}RESET default_transaction_read_only; RESET default_transaction_deferrable;"
    f" SET default_transaction_isolation = 'read committed'; {STATEMENTS['fire_triggers'].sql}; "
)

# What one job sets in its session must not be there for the next one. Prepared statements are
# left alone: ours are among them.
_RESET = (
    "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP;"
    " DISCARD SEQUENCES; "
)

PREPARED = ("fire_triggers", "unlock_all", "begin_number")
"""Statements of each job: their parsing and planning would cost more than all the rest of them."""


@cache
def before_end(*, prepared: bool) -> str:
    """Return the commands that come before an attempt's end is recorded in its transaction.

    What the next transaction begins with is reset behind its COMMIT.
    """
    return f"{_IN_TRANSACTION}{_text('fire_triggers', prepared=prepared)}; "


@cache
def reset(*, prepared: bool) -> str:
    """Return the commands that leave nothing of a job in its session."""
    return f"{_RESET}{_text('unlock_all', prepared=prepared)}; "


@cache
def begin_number(*, prepared: bool) -> str:
    """Return the statement that gives a new transaction its number, and returns it."""
    return _text("begin_number", prepared=prepared)


def _text(name: str, *, prepared: bool) -> str:
    return STATEMENTS[name].execute if prepared else STATEMENTS[name].sql


def execute(opened: "Connection", commands: str) -> None:
    """Send commands of ours beside SQLAlchemy, whose listeners watch over those of jobs."""
    raw: Any = opened.connection.dbapi_connection
    if commands:
        with raw.plain() as cursor:
            cursor.execute(commands)


def bring_in_order(opened: "Connection") -> None:
    """Give the session the state of bookkeeping again, if it is still there."""
    with suppress(psycopg2.Error):
        execute(opened, _IN_ORDER)


def is_timeless(opened: "Connection") -> bool:
    """Return whether neither URL nor role nor database says how long to wait for a lock."""
    raw: Any = opened.connection.dbapi_connection
    timeless: bool = raw.base.timeless
    return timeless
