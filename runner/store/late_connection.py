"""The control database's connection of SQLAlchemy's, made when a session asks for it."""

from typing import Any

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.pool import PoolProxiedConnection


class LateConnection:
    """Stands for a connection on a raw one that is open already.

    Most jobs that take their statement from YAML need none: it costs as much as the statement.
    """

    def __init__(self, engine: Engine, raw: Any) -> None:
        self.dbapi_connection = raw
        self._engine = engine
        self._made: Connection | None = None
        self._transaction: RootTransaction | None = None

    def made(self) -> Connection:
        """Return the connection, in whose transaction the raw one is.

        It is this attempt's own, with options and listeners of its own. The raw one stays taken out
        of its pool from one to the next, unless somebody listens there.
        """
        if self._made is None:
            heard = self._engine.pool.dispatch
            if heard.checkout or heard.checkin or heard.reset:
                self._made = self._engine.connect()
            else:
                self._made = Connection(self._engine, self._taken_out(), _allow_revalidate=False)
            self._transaction = self._made.begin()
        return self._made

    def close(self) -> None:
        """Give it back, if it was made: whoever has kept it can do nothing more with it."""
        if self._made is None:
            return
        kept = self.dbapi_connection.kept
        if self._made.closed or self._made.connection is not kept or kept.is_detached:
            self.dbapi_connection.kept = None
            self._made.close()
            return
        assert self._transaction is not None, "it was made"
        self._transaction.close()
        self._made._dbapi_connection = None  # noqa: SLF001 - to close it would put the raw one back

    def _taken_out(self) -> PoolProxiedConnection:
        raw = self.dbapi_connection
        if raw.kept is None or raw.kept.is_detached or raw.kept.dbapi_connection is not raw:
            raw.kept = self._engine.raw_connection()
        kept: PoolProxiedConnection = raw.kept
        return kept

    def invalidate(self) -> None:
        """Close the raw connection: whatever its state is, it serves nobody any longer."""
        if self._made is not None:
            self._made.invalidate()
        else:
            self.dbapi_connection.close()


def put_back(raw: Any) -> None:
    """Put a raw connection back into its pool, for whoever takes it out there."""
    kept, raw.kept = raw.kept, None
    if kept is not None:
        kept.close()


Line = Connection | LateConnection


def connection_of(line: Line) -> Connection:
    """Return the connection for a session."""
    return line.made() if isinstance(line, LateConnection) else line


def raw_of(line: Line) -> Any:
    """Return the driver's connection."""
    if isinstance(line, LateConnection):
        return line.dbapi_connection
    return line.connection.dbapi_connection
