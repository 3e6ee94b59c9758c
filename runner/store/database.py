"""Transactions on the control database, in which named statements run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg2
from sqlalchemy import Connection, PoolProxiedConnection

from headrace.store.connect import make_engine
from headrace.store.outages import reported
from headrace.store.statements import STATEMENTS, Statement

Row = dict[str, Any]


class Transaction(Protocol):
    """Somewhere that named statements can run: see `runner/store/sql`."""

    def rows(self, statement: str, **values: Any) -> list[Row]:
        """Run a statement and return its rows; none where it returns nothing."""
        ...

    def row(self, statement: str, **values: Any) -> Row | None:
        """Run a statement and return its first row."""
        ...


class SqlTransaction:
    """A transaction over an SQLAlchemy connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def rows(self, statement: str, **values: Any) -> list[Row]:
        """See `Transaction`."""
        result = self.connection.exec_driver_sql(STATEMENTS[statement].pyformat, values)
        if not result.returns_rows:
            return []
        return [dict(row) for row in result.mappings()]

    def row(self, statement: str, **values: Any) -> Row | None:
        """See `Transaction`."""
        rows = self.rows(statement, **values)
        return rows[0] if rows else None


class Database:
    """The control database, for daemon, web page and command line. Safe to share by threads."""

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

    def rows(self, statement: str, **values: Any) -> Sequence[Row]:
        """Run one statement in a transaction of its own."""
        with reported(), self._lines.connect() as connection:
            return SqlTransaction(connection).rows(statement, **values)

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

    def row(self, statement: str, **values: Any) -> Row | None:
        """Run one statement in a transaction of its own and return its first row."""
        rows = self.rows(statement, **values)
        return rows[0] if rows else None

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        self._lines.dispose()


def _prepared(
    line: PoolProxiedConnection, statement: Statement, values: dict[str, Any]
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
