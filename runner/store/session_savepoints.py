"""Savepoints of jobs' sessions: none is sent before one is needed.

A session of a job's begins with a savepoint. Where nothing has been sent since the attempt's mark,
which is a savepoint, too, that one serves: to go back to it is to go back to where the session
began. Where a session has ended, the mark is moved behind it before anything else is sent.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg2 import errors
from psycopg2.extensions import TRANSACTION_STATUS_INERROR
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

if TYPE_CHECKING:
    from sqlalchemy import Connection

DRIVER = "postgresql+headrace"
"""The scheme of the URL for an engine whose sessions' savepoints are these."""

NO_MARK = (errors.InvalidSavepointSpecification, errors.NoActiveSqlTransaction)
"""What tells that a transaction is another one than that of the mark."""


@dataclass(slots=True)
class Mark:
    """An attempt's mark on one connection, as it stands for savepoints of sessions.

    `fresh`: nothing was sent since. `names` are the savepoints for which it stands, the outer ones
    first. `passed`: the session for which it stood has released its savepoint.
    """

    savepoint: str
    fresh: bool = True
    passed: bool = False
    names: list[str] = field(default_factory=list)

    def stands_for(self, name: str) -> bool:
        """Take the place of a savepoint that is asked for, where that is the same place."""
        if self.fresh:
            self.names.append(name)
        return self.fresh

    def release(self, name: str) -> bool:
        """Return whether it stood for this one, which is released, and those within it."""
        if name not in self.names:
            return False
        del self.names[self.names.index(name) :]
        self.passed = not self.names
        return True

    def go_back(self, name: str) -> None:
        """Note that all is undone since this one, for which it stood."""
        del self.names[self.names.index(name) :]
        self.fresh = True

    def to_move(self) -> str:
        """Return the commands that do what the release of a session's savepoint has put off.

        PostgreSQL takes READ ONLY back then, say; what the session did stays.
        """
        if not self.passed:
            return ""
        return f"RELEASE SAVEPOINT {self.savepoint}; SAVEPOINT {self.savepoint}; "

    def moved(self) -> None:
        """Note that these have been run."""
        if self.passed:
            self.fresh, self.passed = True, False


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
