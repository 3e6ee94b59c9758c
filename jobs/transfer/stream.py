"""COPY from one server straight into another: a pipe between them, and nothing kept."""

import contextlib
import os
import time
from threading import Thread
from typing import TYPE_CHECKING, Any

from headrace import jobapi
from headrace.jobapi import logger
from headrace.jobs.files.copy_streams import copy_in, copy_out
from headrace.jobs.tables.server_progress import watched
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_BUFFER_BYTES = 1 << 16
_TELL_EVERY_S = 10.0


def stream(
    source: "Session",
    sent: RenderedSql,
    target: "Session",
    stored: RenderedSql,
    *,
    name: str,
    binary: bool = False,
) -> tuple[int, int]:
    """Run COPY … TO STDOUT and COPY … FROM STDIN together; return how many rows each one counts.

    `name` is what errors call the rows. The servers work at the same time; whichever is quicker
    waits for the other. Of a binary stream the target's server says how many rows there are.
    """
    # Begun first: it sends a statement, and none may wait beside the start of a COPY.
    with watched(target, adds_rows=True) if binary else contextlib.nullcontext() as watch:
        outgoing = _Outgoing(source, sent, binary=binary)
        try:
            arrived = copy_in(target, stored, outgoing, name=name, piece=_BUFFER_BYTES)
        finally:
            outgoing.end()
    if watch is not None:
        watch.count_rows(arrived)
    return outgoing.read_rows, arrived


class _Outgoing:
    """What a COPY … TO STDOUT writes, read piece by piece; the COPY runs in its own thread.

    The driver takes an empty piece for the end, and PostgreSQL takes a binary COPY without its
    end mark: so nothing is empty before the source's COPY has ended well.
    """

    def __init__(self, session: "Session", sql: RenderedSql, *, binary: bool) -> None:
        self._session, self._sql = session, sql
        # Looked up here: the session belongs to this thread.
        self._raw: Any = session.connection().connection.dbapi_connection
        self._reading, self._writing = os.pipe()
        self._error: BaseException | None = None
        self._began = self._told = time.monotonic()
        self.read_rows = self.bytes = 0
        self._meter = jobapi.meter()
        # Of a binary stream only the bytes are known; in text a row ends with a line.
        self.rows = 0 if binary else None
        self._thread = Thread(target=self._run, name="headrace-copy-out", daemon=True)
        self._thread.start()

    def read(self, size: int = -1, /) -> bytes:
        """Return the next piece, or nothing at the end.

        Raises:
            BaseException: what has stopped the source.
        """
        piece = os.read(self._reading, size if size > 0 else _BUFFER_BYTES)
        if piece:
            self.bytes += len(piece)
            self._meter.add_bytes(len(piece))
            self._tell()
            return piece
        self._thread.join()
        if self._error is not None:
            raise self._error
        return b""

    def end(self) -> None:
        """Stop the source's COPY, if it still runs, and wait for its thread."""
        if self._thread.is_alive() and self._reading >= 0:
            with contextlib.suppress(Exception):
                self._raw.cancel()
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1
        self._thread.join()

    def _run(self) -> None:
        try:
            with os.fdopen(self._writing, "wb", buffering=_BUFFER_BYTES) as pipe:
                self.read_rows = copy_out(self._session, self._sql, pipe)
        except BaseException as error:  # noqa: BLE001 - raised again where the rows are read
            self._error = error

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY_S:
            self._told = now
            rate = self.bytes / (now - self._began) / 1e6
            logger.info("%.0f MB copied so far, %.1f MB/s", self.bytes / 1e6, rate)
