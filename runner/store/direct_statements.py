"""Statements of a job that go to the driver at once, as a session of SQLAlchemy's would send them.

A session, its connection and their events take longer than a small statement. What a session has
the attempt's transaction do is the same here: the block is a savepoint, for which the mark stands
where it can, and an error of the driver's is SQLAlchemy's.
"""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_INERROR
from sqlalchemy.exc import DBAPIError

from headrace.store.attempt_mark import Mark
from headrace.store.job_connection import JobConnection
from headrace.store.late_connection import raw_of
from headrace.store.session_block import Bound
from headrace.store.session_end_reason import keep_parting_words

_SAVEPOINT = "headrace_statements"
# Of a query whose rows come in batches.
_CURSOR = "headrace_rows"
_BATCH = 1000


class StatementBlock:
    """A block in the attempt's transaction; where it is left by an error, what it did is undone."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound

    def __enter__(self) -> "DirectStatements":
        """Begin with a savepoint, where the attempt's mark does not stand for it."""
        self._binding = self._bound()
        self._raw: JobConnection = raw_of(self._binding.__enter__())
        mark: Mark | None = self._raw.mark
        if mark is not None and (commands := mark.to_move()):
            self._send(commands)
            mark.moved()
        if mark is None or not mark.stands_for(_SAVEPOINT):
            self._send(f"SAVEPOINT {_SAVEPOINT}")
        return DirectStatements(self._raw)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Release the savepoint, or go back to it."""
        try:
            if kind is None:
                self._release()
            elif not self._raw.closed:
                self._undo()
        except BaseException as raised:
            self._binding.__exit__(type(raised), raised, raised.__traceback__)
            raise
        return self._binding.__exit__(kind, error, trace)

    def _release(self) -> None:
        mark = self._raw.mark
        failed = self._raw.get_transaction_status() == TRANSACTION_STATUS_INERROR
        if failed or mark is None or not mark.release(_SAVEPOINT):
            self._send(f"RELEASE SAVEPOINT {_SAVEPOINT}")

    def _undo(self) -> None:
        mark = self._raw.mark
        within = mark is not None and _SAVEPOINT in mark.names
        name = mark.savepoint if mark is not None and within else _SAVEPOINT
        try:
            self._send(f"ROLLBACK TO SAVEPOINT {name}")
        except psycopg2.Error:
            # The error of the block says more; that the transaction is another one is found out
            # by its mark.
            return
        if mark is not None and within:
            mark.go_back(_SAVEPOINT)

    def _send(self, commands: str) -> None:
        with self._raw.plain() as cursor:
            cursor.execute(commands)


class DirectStatements:
    """Sends statements over a connection of the driver's."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def run(
        self,
        sql: str,
        values: Mapping[str, Any] | None,
        *,
        stream: bool = False,
        types: Mapping[int, Any] | None = None,
    ) -> "DirectAnswer":
        """Send one statement; `values` as pyformat has them, None where percent signs are plain.

        With `stream` its rows come in batches. `types` are readers of values by their type's number
        which come before the connection's own.

        Raises:
            DBAPIError: The server refuses it.
        """
        named = {"name": _CURSOR} if stream else {}
        with _Told(sql, values):
            cursor = self._raw.cursor(**named)
            if types is not None:
                cursor.string_types = types
            cursor.execute(sql, values)
            first = cursor.fetchmany(_BATCH) if stream else None
        return DirectAnswer(cursor, first, _Told(sql, values))


class DirectAnswer:
    """What a statement has given. Its rows are to be read once, before the next statement."""

    types: list[str] | None = None

    def __init__(self, cursor: Any, first: list[tuple[Any, ...]] | None, told: "_Told") -> None:
        self._cursor = cursor
        self._first = first
        self._told = told
        self.rowcount: int = cursor.rowcount

    @property
    def returns_rows(self) -> bool:
        """Return whether it gives rows."""
        return self._cursor.description is not None

    def keys(self) -> list[str]:
        """Return the names of its columns."""
        return [column.name for column in self._cursor.description]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        with self._told:
            if self._first is None:
                yield from self._cursor
                return
            rows = self._first
            while rows:
                yield from rows
                rows = self._cursor.fetchmany(_BATCH) if len(rows) == _BATCH else []

    def __enter__(self) -> "DirectAnswer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it. After an error a query's cursor has gone with the savepoint."""
        if kind is None or self._first is None:
            with self._told:
                self._cursor.close()


class _Told:
    """A block in which the driver's errors become those of SQLAlchemy, as a session raises them."""

    def __init__(self, sql: str, values: Mapping[str, Any] | None) -> None:
        self._sql, self._values = sql, values

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise what SQLAlchemy makes of an error of the driver's."""
        if isinstance(error, psycopg2.Error):
            keep_parting_words(error)
            values = dict(self._values or {})
            told: Any = DBAPIError.instance(self._sql, values, error, psycopg2.Error)
            raise told.with_traceback(trace) from error
