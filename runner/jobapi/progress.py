"""Counts what the job at hand has done so far, for people who watch it."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

Publish = Callable[[int | None, int | None, int | None, str], None]
"""Takes rows, how much is done, how much there is to do if that is known, and the unit."""

_BUFFER_BYTES = 1 << 17
# Small pieces are told of fifty times a second at most, larger ones always.
_EVERY_S = 0.02
_MANY_ROWS, _MANY_BYTES = 1000, 1 << 16


class Meter:
    """The progress of one attempt. It goes to memory and costs no statement.

    `done` of `total` is in `unit`: bytes where files are read or written, so that a share is
    known where the number of rows is not.
    """

    def __init__(self, publish: Publish | None = None) -> None:
        self._publish = publish
        self.rows: int | None = None
        self.done: int | None = None
        self.total: int | None = None
        self.unit = "bytes"
        self._next = 0.0

    def show(self, done: int, total: int | None = None, unit: str = "rows") -> None:
        """Say how much is done, and how much there is to do if that is known."""
        self.rows, self.done, self.total, self.unit = None, done, total, unit
        self._tell()

    def expect(self, total: int | None) -> None:
        """Begin to count the bytes of files; there are so many in all, if that is known."""
        self.rows, self.done, self.total, self.unit = 0, 0, total, "bytes"

    def add_rows(self, rows: int) -> None:
        """Count rows that are done."""
        self.rows = (self.rows or 0) + rows
        self._tell_now_and_then(at_once=rows >= _MANY_ROWS)

    def add_bytes(self, size: int) -> None:
        """Count bytes that are done."""
        self.done = (self.done or 0) + size
        self._tell_now_and_then(at_once=size >= _MANY_BYTES)

    def _tell_now_and_then(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if at_once or now >= self._next:
            self._next = now + _EVERY_S
            self._tell()

    def _tell(self) -> None:
        if self._publish is not None:
            self._publish(self.rows, self.done, self.total, self.unit)


def open_metered(path: Path, mode: str, meter: Meter) -> BinaryIO:
    """Open a file, rb or wb, whose bytes a meter counts as they pass."""
    if mode == "rb":
        return io.BufferedReader(_MeteredFile(path, "rb", meter), _BUFFER_BYTES)
    raw: Any = _MeteredFile(path, "wb", meter)
    return io.BufferedWriter(raw, _BUFFER_BYTES)


class _MeteredFile(io.FileIO):
    """A file below its buffer: it is asked for large pieces only."""

    def __init__(self, path: Path, mode: str, meter: Meter) -> None:
        super().__init__(os.fspath(path), mode)
        self._meter = meter

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Read, and count."""
        size = super().readinto(buffer) or 0
        self._meter.add_bytes(size)
        return size

    def readall(self) -> bytes:
        """Read what is left, as the buffer does for a `read()` without a size, and count."""
        found = super().readall()
        self._meter.add_bytes(len(found))
        return found

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        """Write, and count."""
        size = super().write(piece) or 0
        self._meter.add_bytes(size)
        return size
