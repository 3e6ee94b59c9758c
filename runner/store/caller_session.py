"""Dispatching inside a transaction of the caller's own."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import event

from headrace.store.database import SqlTransaction

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def transaction_of(session: "Session") -> SqlTransaction:
    """Return the caller's transaction, as named statements need it."""
    return SqlTransaction(session.connection())


def on_commit(session: "Session", action: Callable[[], None]) -> None:
    """Call `action` once the session's transaction has committed, never if it does not.

    A job's session is part of the attempt's transaction: its own commit only releases a
    savepoint, so that `action` may come too early there. That is harmless: a message whose
    row is not committed yet is dropped by the worker, and the sweep sends another one.
    """

    def _committed(_session: "Session") -> None:
        event.remove(session, "after_rollback", _rolled_back)
        action()

    def _rolled_back(_session: "Session") -> None:
        event.remove(session, "after_commit", _committed)

    event.listen(session, "after_commit", _committed, once=True)
    event.listen(session, "after_rollback", _rolled_back, once=True)
