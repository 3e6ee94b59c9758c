"""One psycopg2 connection and the statements that go over it; opened again after it was lost.

No ORM and no pool stand on this path.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

import psycopg2
from psycopg2 import errors as pg_errors
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from headrace.errors import StoreUnavailable
from headrace.store.connect import connect_raw
from headrace.store.database import Row, Transaction
from headrace.store.outages import (
    lacks_means,
    refuses_writes,
    tells_of_a_break,
    unavailable_message,
)
from headrace.store.session_end_reason import keep_parting_words
from headrace.store.session_settings import Use
from headrace.store.session_state import PREPARED, reset
from headrace.store.statements import STATEMENTS


class ChildConnection(Transaction):
    """A worker's connection to the control database, with `prepared` statements. For one thread."""

    def __init__(self, database_url: str, worker: str, prepared: Sequence[str]) -> None:
        self.url = database_url
        self.worker = worker
        self._prepare = ";".join(STATEMENTS[name].prepare for name in (*prepared, *PREPARED))
        self._raw: Any = None
        self._ahead = ""
        # The open transaction is bookkeeping, and none of a job's.
        self._is_ours = False
        # The columns of each of our statements, by its text: they stay the same on a connection.
        self._columns: dict[str, tuple[str, ...]] = {}
        self.server_since = ""
        # Counts the connections: attempts are completed over the one that claimed them.
        self.line = 0
        self.on_connect: Callable[[Any], None] = lambda _raw: None

    @property
    def raw(self) -> Any:
        """The psycopg2 connection, opened where there is none.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        if self.lost:
            self.drop()
            name = f"headrace:{self.worker}"
            raw: Any = connect_raw(self.url, application_name=name, use=Use.WORKER)
            try:
                with raw.plain() as cursor:
                    cursor.execute(self._prepare)
                raw.be_quiet()
                raw.prepared = True
                self.server_since = raw.server_since
            except psycopg2.Error as error:
                raw.close()
                raise StoreUnavailable(unavailable_message(error)) from error
            self._raw = raw
            self._columns.clear()
            self.line += 1
            self.on_connect(raw)
        return self._raw

    @property
    def lost(self) -> bool:
        """Return whether the connection broke since it was last used."""
        return self._raw is None or not self._raw.well

    def broken(self, error: BaseException) -> bool:
        """Return whether the connection is gone, now that `error` was raised somewhere in a job."""
        keep_parting_words(error)
        if not self.lost and tells_of_a_break(error):
            try:
                with self._raw.plain() as cursor:
                    cursor.execute("SELECT 1")
            except pg_errors.InFailedSqlTransaction:
                return False
            except psycopg2.Error:
                self.drop()
        return self.lost

    def drop(self) -> None:
        """Close the connection, and with it whatever a job has left in its session."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        self._ahead = ""

    def reset(self) -> None:
        """Make the session as it was before a job used it."""
        try:
            raw = self.raw
            with raw.plain() as cursor:
                cursor.execute(self._with_ahead(self.reset_commands))
        except psycopg2.Error:
            # A new session is clean as well.
            self.drop()

    def end_ahead(self) -> None:
        """End the transaction that was begun ahead for a job which does not use it."""
        if self._raw is None or not self._raw.ahead:
            return
        try:
            with self._raw.plain() as cursor:
                cursor.execute(self._with_ahead(""))
        except psycopg2.Error:
            self.drop()

    @property
    def reset_commands(self) -> str:
        """What `reset` sends."""
        return reset(prepared=True) + str(self.raw.settings_sql)

    def prepend(self, commands: str) -> None:
        """Send `commands`, which are ours and hold no values, in one message with what is next."""
        self._ahead = commands

    # -- statements -------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Open a block in which several named statements are one transaction.

        Raises:
            StoreUnavailable: The connection is gone, and what was done in the block with it.
        """
        self._run("BEGIN", {})
        self._is_ours = True
        try:
            yield self
        except BaseException:
            self._end("ROLLBACK")
            raise
        finally:
            self._is_ours = False
        self._end("COMMIT")

    def _end(self, how: Literal["COMMIT", "ROLLBACK"]) -> None:
        if self.lost:
            return
        try:
            self._raw.end(how)
        except psycopg2.Error as error:
            self.drop()
            raise StoreUnavailable(unavailable_message(error)) from error

    def run_named(self, statement: str, values: dict[str, Any]) -> list[Row]:
        """See `Transaction`."""
        raw = self.raw
        try:
            with raw.plain() as cursor:
                cursor.execute(self._with_ahead(STATEMENTS[statement].pyformat), values)
                return _by_name(cursor)
        except psycopg2.Error as error:
            self._lost(error)
            raise

    def _run(self, sql: str, values: dict[str, Any]) -> list[Row]:
        raw = self.raw
        try:
            with raw.plain() as cursor:
                cursor.execute(self._with_ahead(sql), values)
                return self._rows(cursor, sql)
        except pg_errors.InvalidSqlStatementName:
            # A job has deallocated what was prepared. Only outside its transaction can the
            # statement be tried again; inside, the attempt fails and a new connection is opened.
            idle = raw.info.transaction_status == TRANSACTION_STATUS_IDLE
            self.drop()
            if not idle:
                raise
            return self._run(sql, values)
        except psycopg2.Error as error:
            self._lost(error)
            raise

    def _rows(self, cursor: Any, sql: str) -> list[Row]:
        if cursor.description is None:
            return []
        names = self._columns.get(sql)
        if names is None:
            names = self._columns[sql] = _names(cursor)
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _lost(self, error: psycopg2.Error) -> None:
        """Raise `StoreUnavailable` where the server is at fault; return where the SQL is."""
        if self.broken(error) or self._read_only(error) or lacks_means(error):
            self.drop()
            raise StoreUnavailable(unavailable_message(error)) from error

    def _read_only(self, error: psycopg2.Error) -> bool:
        """Return whether it is the server that takes no writes, and not a job's transaction."""
        if not refuses_writes(error):
            return False
        if self._is_ours or self._raw.info.transaction_status == TRANSACTION_STATUS_IDLE:
            return True  # Begun on a standby, which may have been promoted since.
        said = [self._raw.info.parameter_status(name) for name in _READ_ONLY]
        # A pooler does not pass them on.
        return any(value in ("on", None) for value in said)

    def _with_ahead(self, sql: str) -> str:
        ahead, self._ahead = self._ahead, ""
        if self._raw.ahead:
            # Begun for a job that did not come to use it.
            self._raw.ahead, ahead = False, f"ROLLBACK; {ahead}"
        return ahead + sql


def _by_name(cursor: Any) -> list[Row]:
    if cursor.description is None:
        return []
    names = _names(cursor)
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _names(cursor: Any) -> tuple[str, ...]:
    return tuple(column.name for column in cursor.description)


_READ_ONLY = ("in_hot_standby", "default_transaction_read_only")
