"""An attempt's mark on a connection: a savepoint of ours, which stands for those of sessions."""

import os
from dataclasses import dataclass, field

from psycopg2 import errors

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


def new_savepoint() -> str:
    """Return a savepoint's name that nobody can guess."""
    return f"headrace_{os.urandom(8).hex()}"


def beginning(settings: str, savepoint: str, *, quiet: bool = True) -> str:
    """Return the commands that begin an attempt's transaction, up to its mark.

    On a connection that is not `quiet` the driver sends the first of them.
    """
    return f"{'BEGIN; ' if quiet else ''}{settings}SAVEPOINT {savepoint}; "
