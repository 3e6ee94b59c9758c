"""Transactions on the control database, in which named statements run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import psycopg2

from headrace.store.connect import make_engine
from headrace.store.outages import reported
from headrace.store.statements import STATEMENTS, Query, Statement

if TYPE_CHECKING:
    from sqlalchemy import Connection, PoolProxiedConnection

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
        self.url = database_url
        self._engine = make_engine(
            database_url, application_name=application_name, pool_size=pool_size, short=True
        )
        self._lines = make_engine(
            database_url, application_name=application_name, pool_size=pool_size, autocommit=True
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
        self._engine.dispose()
        self._lines.dispose()


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
