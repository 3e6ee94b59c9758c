"""Transactions on the control database, in which named statements run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import psycopg2

from headrace.store import dsn
from headrace.store.connect import make_engine
from headrace.store.migrations import Schema, look
from headrace.store.outages import reported
from headrace.store.statements import STATEMENTS, Query, Statement

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, PoolProxiedConnection

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

        For what programs do a thousand times a second: no SQLAlchemy on its way.
        """
        with reported():
            line = self._lines.raw_connection()
            try:
                return _prepared(line, STATEMENTS[statement], values)
            except psycopg2.Error as error:
                # Whatever state it is in now, the next user gets another one.
                line.invalidate(error)
                raise
            finally:
                line.close()

    def close(self) -> None:
        """Close all connections."""
        for made in ("_engine", "_lines"):
            if made in self.__dict__:
                self.__dict__[made].dispose()

    def schema(self) -> Schema:
        """Return what schema the database has.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        with self.transaction() as tx:
            return look(tx.connection)


def _prepared(
    line: "PoolProxiedConnection", statement: Statement, values: dict[str, Any]
) -> list[tuple[Any, ...]]:
    there = line.info.setdefault("prepared", set())
    cursor = line.cursor()
    try:
        if statement.name not in there:
            cursor.execute(statement.prepare)
            there.add(statement.name)
        cursor.execute(statement.execute, values)
        return list(cursor.fetchall())
    finally:
        cursor.close()
