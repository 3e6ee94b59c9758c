"""Savepoints of jobs' sessions: none is sent before one is needed.

A session of a job's begins with a savepoint. Where nothing has been sent since the attempt's mark,
which is a savepoint, too, that one serves: to go back to it is to go back to where the session
began. Where a session has ended, the mark is moved behind it before anything else is sent.
"""

from typing import TYPE_CHECKING, Any

from psycopg2.extensions import TRANSACTION_STATUS_INERROR
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

if TYPE_CHECKING:
    from sqlalchemy import Connection

DRIVER = "postgresql+headrace"
"""The scheme of the URL for an engine whose sessions' savepoints are these."""


class JobDialect(PGDialect_psycopg2):
    """psycopg2's dialect, on connections that are `JobConnection`s."""

    supports_statement_cache = True

    def do_savepoint(self, connection: "Connection", name: str) -> None:
        """Make a savepoint, where the attempt's mark does not stand for it."""
        raw = _raw(connection)
        if raw.mark is not None and (commands := raw.mark.to_move()):
            with raw.plain() as cursor:
                cursor.execute(commands)
            raw.mark.moved()
        if raw.mark is None or not raw.mark.stands_for(name):
            super().do_savepoint(connection, name)  # type: ignore[no-untyped-call]

    def do_release_savepoint(self, connection: "Connection", name: str) -> None:
        """Release a savepoint. An error that a job has swallowed comes out here."""
        raw = _raw(connection)
        failed = raw.get_transaction_status() == TRANSACTION_STATUS_INERROR
        if failed or raw.mark is None or not raw.mark.release(name):
            super().do_release_savepoint(connection, name)  # type: ignore[no-untyped-call]

    def do_rollback_to_savepoint(self, connection: "Connection", name: str) -> None:
        """Undo what was done since a savepoint."""
        mark = _raw(connection).mark
        if mark is None or name not in mark.names:
            super().do_rollback_to_savepoint(connection, name)  # type: ignore[no-untyped-call]
            return
        super().do_rollback_to_savepoint(connection, mark.savepoint)  # type: ignore[no-untyped-call]
        mark.go_back(name)


def _raw(connection: "Connection") -> Any:
    return connection.connection.dbapi_connection


registry.register("postgresql.headrace", __name__, JobDialect.__name__)
