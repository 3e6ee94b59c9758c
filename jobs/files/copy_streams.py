"""COPY between files and tables, a piece at a time: no file is ever whole in memory."""

import io
import os
import re
import select
import socket
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errorcodes

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobs.files.read_ahead import Readable, ReadAhead
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# Other lines of the context tell where a trigger's function was.
_LINE = re.compile(r"^COPY .*?, line (\d+)(?:, column ([^:\n]+))?", re.MULTILINE)
_DATES = (
    "dates are read as year-month-day (2026-02-03), so that 03/02/2026 is never taken for another"
    " day than it means; the database's or the role's own DateStyle setting (or `options` in the"
    " connection's URL) gives another order"
)
# `03/02/04`: read as year-month-day it would be a day that nobody means.
_SHORT_YEAR = re.compile(r"\s*\d{1,2}([/.-])\d{1,2}\1\d{1,2}(?!\d)")

_PEEKED_BYTES = 65536
_OUT_BYTES = 1 << 18


class Misfit(JobFailure):
    """A row does not fit: which one, counted from 1, in which column, and why."""

    def __init__(self, told: str, number: int, column: str | None, reason: str) -> None:
        super().__init__(told)
        self.number, self.column, self.reason = number, column, reason


class Lines:
    """Which line of a file a line is that the server has got.

    `before` lines stand in front of the first one; those that are left out on the way are noted.
    `first_breaks` are line ends inside the first record: the server does not count these, since it
    learns from the end of that record which ones the file has.
    """

    def __init__(self, before: int = 0) -> None:
        self.before = before
        self.first_breaks = 0
        self._left_out: list[int] = []

    def leave_out(self, passed: int) -> None:
        """Note that the line behind the first `passed` ones is not passed on."""
        self._left_out.append(passed)

    @property
    def left_out(self) -> int:
        """How many lines were left out."""
        return len(self._left_out)

    def in_file(self, number: int) -> int:
        """Return the file's line, given the server's; both count from 1."""
        return self.of(number + (self.first_breaks if number > 1 else 0))

    def of(self, number: int) -> int:
        """Return the file's line, given that of what is passed on."""
        return self.before + number + bisect_left(self._left_out, number)


def refuse_short_year(value: str, place: str, column: str) -> None:
    """Refuse a date of three short numbers, of which nobody can tell which is the year.

    Raises:
        JobFailure: with its place and what can be done.
    """
    if _SHORT_YEAR.match(value):
        raise JobFailure(f'{place}: column {column}: which day is "{value.strip()}"? {_DATES}')


def copy_in(
    session: "Session",
    sql: RenderedSql,
    source: Readable,
    *,
    name: str,
    lines: Lines | None = None,
    piece: int = 8192,
    ahead: bool = False,
) -> int:
    """Run a COPY … FROM STDIN and return the number of rows.

    `name` and `lines` place errors; `piece` is how much is asked for at once. With `ahead` a thread
    reads the source meanwhile. An error of `source` is raised as it is.

    Raises:
        JobFailure: a row does not fit, with its line.
    """
    if ahead:
        reading = ReadAhead(source, piece)
        try:
            return copy_in(session, sql, reading, name=name, lines=lines, piece=piece)
        finally:
            reading.end()
    with _cursor(session) as cursor:
        watched = _Watched(source, cursor.connection.fileno())
        before = jobapi.meter().rows
        try:
            cursor.copy_expert(_statement(cursor, sql), watched, piece)
        except psycopg2.Error as error:
            jobapi.meter().rows = before  # What is tried again is not counted twice.
            raise _reason(error, watched.error, name, lines or Lines()) from None
        return int(cursor.rowcount)


def server_version(session: "Session") -> int:
    """Return the server's version as PostgreSQL counts: 160004 for 16.4."""
    with _cursor(session) as cursor:
        return int(cursor.connection.server_version)


def options_of(session: "Session") -> str:
    """Return the server options that the connection's URL gives."""
    with _cursor(session) as cursor:
        return str(cursor.connection.get_dsn_parameters().get("options", ""))


def copy_out(
    session: "Session", sql: RenderedSql, target: IO[bytes], *, by_row: bool = False
) -> int:
    """Run a COPY … TO STDOUT into `target` and return the number of rows.

    `target` gets blocks of any length, which are gone once its `write` has returned; or `by_row`
    each row by itself. An error of `target` is raised as it is, and ends the transaction or its
    savepoint.
    """
    with _cursor(session) as cursor:
        rows = _Rows(target, cursor.connection)
        # The driver calls for each row: within a block that is no Python.
        sink: Any = rows if by_row else io.BufferedWriter(rows, _OUT_BYTES)
        try:
            cursor.copy_expert(_statement(cursor, sql), sink)
            if not by_row:
                sink.flush()
            if rows.error is not None:
                raise rows.error
        except psycopg2.DatabaseError as error:
            if rows.error is not None:
                raise rows.error from None
            if cursor.connection.closed and error.pgcode is None:
                # libpq has no words for it.
                told = "the server closed the connection while rows were read from it"
                raise psycopg2.OperationalError(told) from error
            raise
        finally:
            rows.let_go()
        return int(cursor.rowcount)


class _Rows(io.RawIOBase):
    """Takes what COPY gives, to its end even where `target` has failed: `error` says how.

    Else the driver leaves the connection unusable. The server is asked to stop, the rest left out.
    """

    def __init__(self, target: IO[bytes], connection: Any) -> None:
        self._target: Callable[[Any], object] = target.write
        self._connection = connection
        self.error: BaseException | None = None

    def writable(self) -> bool:
        return True

    def write(self, rows: Any) -> int:
        try:
            self._target(rows)
        except BaseException as error:  # noqa: BLE001 - copy_out raises it
            self.error = error
            self._target = len
            self._connection.cancel()
        return len(rows)

    def let_go(self) -> None:
        """Pass nothing on any more: a block that is left would be written as it is collected."""
        self._target = len


@contextmanager
def _cursor(session: "Session") -> Iterator[Any]:
    session.flush()
    connection = session.connection()
    raw: Any = connection.connection
    cursor = raw.cursor()
    try:
        yield cursor
    except psycopg2.Error as error:
        if raw.closed:
            # Else the session would fail again as it is closed, and hide why.
            connection.invalidate(error)
        raise
    finally:
        cursor.close()


def _statement(cursor: Any, sql: RenderedSql) -> bytes | str:
    """COPY takes no parameters on the server; the driver writes them as literals."""
    if not sql.binds:
        return sql.display
    written: bytes = cursor.mogrify(sql.pyformat, dict(sql.binds))
    return written


class _Refused(Exception):
    """The server has refused the COPY; its reason is read once the driver stops sending."""


class _Watched:
    """A source that remembers why it failed: the driver passes on the message only.

    Neither the driver nor the server ends a COPY early: what is sent after a refused row is
    thrown away. So the server's line is looked at before each piece.
    """

    def __init__(self, source: Readable, line: int) -> None:
        self._source, self._line = source, line
        self._meter = jobapi.meter()
        self._rows = 0
        self.error: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        if _has_refused(self._line):
            raise _Refused
        try:
            piece = self._source.read(size)
            # The statement names the encoding, whatever the session's is.
            sent = piece.encode() if isinstance(piece, str) else piece
            self._count(sent)
            return sent
        except Exception as error:
            self.error = error
            raise

    def _count(self, piece: bytes) -> None:
        """Count the rows: a source of binary COPY knows them, in text each ends with a line."""
        known = getattr(self._source, "rows", None)
        if known is None:
            self._meter.add_rows(piece.count(b"\n"))
        elif known > self._rows:
            self._meter.add_rows(known - self._rows)
            self._rows = known


def _has_refused(line: int) -> bool:
    """Return whether an error waits to be read on a server's line; over TLS nobody can see it."""
    (looked := select.poll()).register(line, select.POLLIN)  # `select` takes none above 1023.
    if not looked.poll(0):
        return False
    with socket.socket(fileno=os.dup(line)) as peeking:
        try:
            waiting = peeking.recv(_PEEKED_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
    while len(waiting) >= 5:
        if waiting[:1] == b"E":
            return True
        if waiting[:1] not in (b"N", b"S", b"A"):
            return False
        waiting = waiting[1 + int.from_bytes(waiting[1:5]) :]
    return False


def _reason(
    error: psycopg2.Error, source_error: Exception | None, name: str, lines: Lines
) -> Exception:
    if source_error is not None:
        return source_error
    if isinstance(error, psycopg2.DataError | psycopg2.IntegrityError):
        return _misfit(error, name, lines)
    return error


def _misfit(error: psycopg2.Error, name: str, lines: Lines) -> JobFailure:
    message = error.diag.message_primary or str(error)
    detail = error.diag.message_detail
    place = _LINE.search(error.diag.context or "")
    told = f"{message} ({detail})" if detail else message
    if error.pgcode == errorcodes.DATETIME_FIELD_OVERFLOW:
        told = f"{told}; {_DATES}"
    if place is None:
        return JobFailure(f"{name}: {told}")
    column = f"column {place[2]}: " if place[2] else ""
    number = int(place[1])
    said = f"{name}:{lines.in_file(number)}: {column}{told}"
    return Misfit(said, number, place[2] or error.diag.column_name, told)
