"""COPY between files and tables, a piece at a time: no file is ever whole in memory."""

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import psycopg2
from sqlalchemy.orm import Session

from runner.errors import JobFailure
from runner.template import RenderedSql

_LINE = re.compile(r"line (\d+)(?:, column ([^:]+))?")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Readable(Protocol):
    """What the driver reads from."""

    def read(self, size: int = -1, /) -> str | bytes: ...


class JsonLines:
    """Reads JSON Lines as the rows of a COPY in text format, one line each."""

    def __init__(
        self, lines: Iterator[str], columns: list[str], name: str, *, leave_out: bool = False
    ) -> None:
        """`leave_out` passes over keys that are no column; otherwise they are an error."""
        self._lines = lines
        self._leave_out = leave_out
        self._columns = columns
        self._name = name
        self._number = 0
        self._rest = ""

    def read(self, size: int = -1, /) -> str:
        while len(self._rest) < size or size < 0:
            line = next(self._lines, None)
            if line is None:
                break
            self._number += 1
            self._rest += self._row(line)
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _row(self, line: str) -> str:
        # An empty line keeps its place, so that COPY's line numbers stay the file's.
        record = parse_record(line, self._name, self._number)
        unknown = [key for key in record if key not in self._columns]
        if unknown and not self._leave_out:
            raise JobFailure(f"{self._name}:{self._number}: no column for {unknown[0]!r}")
        return "\t".join(_field(record.get(column)) for column in self._columns) + "\n"


def parse_record(line: str, name: str, number: int) -> dict[str, Any]:
    """Return one line of JSON Lines.

    Raises:
        JobFailure: it is no JSON object.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise JobFailure(f"{name}:{number}: no JSON: {error}") from None
    if not isinstance(record, dict):
        raise JobFailure(f"{name}:{number}: no JSON object but {line.strip()[:60]}")
    return record


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 text, compressed if it ends in `.gz`; a byte order mark is skipped."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as packed:
            yield packed
    else:
        with path.open(encoding="utf-8-sig", newline="") as plain:
            yield plain


def copy_in(
    session: Session, sql: RenderedSql, source: Readable, *, name: str, lines_before: int = 0
) -> int:
    """Run a COPY … FROM STDIN and return the number of rows.

    `name` and `lines_before` (lines of the file that are not in `source`) place errors.

    Raises:
        JobFailure: a row does not fit, with its line.
    """
    watched = _Watched(source)
    with _cursor(session) as cursor:
        try:
            cursor.copy_expert(_statement(cursor, sql), watched)
        except psycopg2.Error as error:
            raise _reason(error, watched.error, name, lines_before) from None
        return int(cursor.rowcount)


def copy_out(session: Session, sql: RenderedSql, target: IO[bytes]) -> int:
    """Run a COPY … TO STDOUT into `target` and return the number of rows."""
    with _cursor(session) as cursor:
        try:
            cursor.copy_expert(_statement(cursor, sql), target)
        except psycopg2.DatabaseError as error:
            if cursor.connection.closed and error.pgcode is None:
                # libpq has no words for it.
                told = "the server closed the connection while rows were read from it"
                raise psycopg2.OperationalError(told) from error
            raise
        return int(cursor.rowcount)


@contextmanager
def _cursor(session: Session) -> Iterator[Any]:
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


class _Watched:
    """A source that remembers why it failed: the driver passes on the message only."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.error: Exception | None = None

    def read(self, size: int = -1, /) -> str | bytes:
        try:
            return self._source.read(size)
        except Exception as error:
            self.error = error
            raise


def _reason(
    error: psycopg2.Error, source_error: Exception | None, name: str, lines_before: int
) -> Exception:
    if isinstance(source_error, UnicodeDecodeError):
        return JobFailure(f"{name}: is not UTF-8: {source_error}")
    if source_error is not None:
        return source_error
    if isinstance(error, psycopg2.DataError | psycopg2.IntegrityError):
        return _misfit(error, name, lines_before)
    return error


def _misfit(error: psycopg2.Error, name: str, lines_before: int) -> JobFailure:
    message = error.diag.message_primary or str(error)
    detail = error.diag.message_detail
    place = _LINE.search(error.diag.context or "")
    told = f"{message} ({detail})" if detail else message
    if place is None:
        return JobFailure(f"{name}: {told}")
    column = f"column {place[2]}: " if place[2] else ""
    return JobFailure(f"{name}:{int(place[1]) + lines_before}: {column}{told}")


def _field(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    return json.dumps(value).translate(_ESCAPES)
