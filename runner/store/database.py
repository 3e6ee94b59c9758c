"""Transactions on the control database, in which named statements run."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from headrace.store import dsn
from headrace.store.connect import connect_raw, is_dead, make_engine
from headrace.store.migrations import Schema, look
from headrace.store.outages import reported
from headrace.store.statements import STATEMENTS, Query, Statement

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Row = dict[str, Any]
R = TypeVar("R")


class Transaction(Protocol):
    """Somewhere that named statements can run: see `runner/store/sql`.

    A statement is given by its name or, where its rows have a type, by its entry in
    `store/queries.py`.
    """

    def run_named(self, statement: str, values: dict[str, Any]) -> list[Row]:
        """Run a statement and return its rows; none where it returns nothing."""
        ...

    @overload
    def rows(self, statement: Query[R], **values: Any) -> list[R]: ...
    @overload
    def rows(self, statement: str, **values: Any) -> list[Row]: ...
    def rows(self, statement: Any, **values: Any) -> Any:
        """Run a statement and return its rows; none where it returns nothing."""
        name = statement.name if isinstance(statement, Query) else statement
        return self.run_named(name, values)

    @overload
    def row(self, statement: Query[R], **values: Any) -> R | None: ...
    @overload
    def row(self, statement: str, **values: Any) -> Row | None: ...
    def row(self, statement: Any, **values: Any) -> Any:
        """Run a statement and return its first row."""
        rows = self.rows(statement, **values)
        return rows[0] if rows else None


class SqlTransaction(Transaction):
    """A transaction over an SQLAlchemy connection."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection

    @property
    def open_since(self) -> float:
        """When its connection was opened, on the monotonic clock."""
        raw: Any = self.connection.connection.dbapi_connection
        return float(raw.open_since)

    def run_named(self, statement: str, values: dict[str, Any]) -> list[Row]:
        """See `Transaction`."""
        result = self.connection.exec_driver_sql(STATEMENTS[statement].pyformat, values)
        if not result.returns_rows:
            return []
        return [dict(row) for row in result.mappings()]


class Database(Transaction):
    """The control database, for daemon, web page and command line. Safe to share by threads.

    Each statement that it runs itself is a transaction of its own.
    """

    def __init__(self, database_url: str, *, application_name: str, pool_size: int = 5) -> None:
        """Raises ConfigError where the URL is none of PostgreSQL's."""
        dsn.parameters(database_url)
        self.url = database_url
        self._name = application_name
        self._pool_size = pool_size
        self._ready: list[_Line] = []

    @cached_property
    def _engine(self) -> "Engine":
        return make_engine(
            self.url, application_name=self._name, pool_size=self._pool_size, short=True
        )

    @cached_property
    def _lines(self) -> "Engine":
        return make_engine(
            self.url, application_name=self._name, pool_size=self._pool_size, autocommit=True
        )

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """Open a transaction that commits at the end of the block.

        Raises:
            StoreUnavailable: PostgreSQL does not answer, or went away in the middle.
        """
        with reported(), self._engine.begin() as connection:
            yield SqlTransaction(connection)

    def run_named(self, statement: str, values: dict[str, Any]) -> list[Row]:
        """Run one statement in a transaction of its own."""
        with reported(), self._lines.connect() as connection:
            return SqlTransaction(connection).run_named(statement, values)

    def prepared(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement that returns rows, prepared, in a transaction of its own.

        For what programs do a thousand times a second: its connections are kept here, since taking
        one from SQLAlchemy's pool and giving it back costs more than the statement.
        """
        with reported():
            line = self._line()
            try:
                rows = line.run(STATEMENTS[statement], values)
            except BaseException:
                # Whatever state it is in now, the next user gets another one.
                line.raw.close()
                raise
            if len(self._ready) < self._pool_size:
                self._ready.append(line)
            else:
                line.raw.close()
            return rows

    def _line(self) -> "_Line":
        while self._ready:
            # Another thread may have taken the last one.
            with suppress(IndexError):
                line = self._ready.pop()
                if not is_dead(line.raw):
                    return line
                line.raw.close()
        return _Line(connect_raw(self.url, application_name=self._name))

    def close(self) -> None:
        """Close all connections."""
        for made in ("_engine", "_lines"):
            if made in self.__dict__:
                self.__dict__[made].dispose()
        while self._ready:
            self._ready.pop().raw.close()

    def schema(self) -> Schema:
        """Return what schema the database has.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        with self.transaction() as tx:
            return look(tx.connection)


class _Line:
    """A connection with the names of the statements that are prepared on it."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self._prepared: set[str] = set()

    def run(self, statement: Statement, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self.raw.plain() as cursor:
            if statement.name not in self._prepared:
                cursor.execute(statement.prepare)
                self._prepared.add(statement.name)
            cursor.execute(statement.execute, values)
            return list(cursor.fetchall())
