"""The control database's connection of SQLAlchemy's, made when a session asks for it."""

from typing import Any

from sqlalchemy import Connection, Engine


class LateConnection:
    """Stands for a connection on a raw one that is open already.

    Most jobs that take their statement from YAML need none: it costs as much as the statement.
    """

    def __init__(self, engine: Engine, raw: Any) -> None:
        self.dbapi_connection = raw
        self._engine = engine
        self._made: Connection | None = None

    def made(self) -> Connection:
        """Return the connection, in whose transaction the raw one is."""
        if self._made is None:
            self._made = self._engine.connect()
            self._made.begin()
        return self._made

    def close(self) -> None:
        """Give it back, if it was made."""
        if self._made is not None:
            self._made.close()

    def invalidate(self) -> None:
        """Close the raw connection: whatever its state is, it serves nobody any longer."""
        if self._made is not None:
            self._made.invalidate()
        else:
            self.dbapi_connection.close()


Line = Connection | LateConnection


def connection_of(line: Line) -> Connection:
    """Return the connection for a session."""
    return line.made() if isinstance(line, LateConnection) else line


def raw_of(line: Line) -> Any:
    """Return the driver's connection."""
    if isinstance(line, LateConnection):
        return line.dbapi_connection
    return line.connection.dbapi_connection
