"""Reads a source in a thread of its own, so that pieces are made while earlier ones are sent."""

from collections import deque
from contextvars import copy_context
from threading import Condition, Thread
from typing import Protocol

_PIECES = 2


class Readable(Protocol):
    """What the driver reads from."""

    def read(self, size: int = -1, /) -> str | bytes: ...


class ReadAhead:
    """The pieces of a source in their order, two of which may wait; nothing is empty but the end.

    `rows` is what the source had counted when it gave the piece that was read last, None where it
    counts none. What the source raises is raised behind the pieces that it gave before. Call `end`
    before the source is closed.
    """

    def __init__(self, source: Readable, size: int) -> None:
        self._source, self._size = source, size
        self.rows: int | None = getattr(source, "rows", None)
        self._waiting: deque[tuple[str | bytes, int | None]] = deque()
        self._state = Condition()
        self._over = self._exhausted = False
        self._error: BaseException | None = None
        # The source finds what it looks up in the context, such as the attempt.
        self._thread = Thread(
            target=copy_context().run, args=(self._work,), name="headrace-read-ahead", daemon=True
        )
        self._thread.start()

    def read(self, _size: int = -1, /) -> str | bytes:
        """Return the next piece, and an empty one at the end only.

        Raises:
            BaseException: what the source has raised.
        """
        with self._state:
            self._state.wait_for(lambda: self._waiting or self._exhausted)
            if self._waiting:
                piece, self.rows = self._waiting.popleft()
                self._state.notify_all()
                return piece
        if self._error is not None:
            raise self._error
        return b""

    def end(self) -> None:
        """Read no further, and wait until the source is not in use any more."""
        with self._state:
            self._over = True
            self._state.notify_all()
        self._thread.join()

    def _work(self) -> None:
        try:
            while piece := self._source.read(self._size):
                if not self._handed_over(piece):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the pieces are read
            self._error = error
        finally:
            with self._state:
                self._exhausted = True
                self._state.notify_all()

    def _handed_over(self, piece: str | bytes) -> bool:
        """Let a piece wait to be read; returns whether another one is wanted."""
        rows = getattr(self._source, "rows", None)
        with self._state:
            self._state.wait_for(lambda: self._over or len(self._waiting) < _PIECES)
            if not self._over:
                self._waiting.append((piece, rows))
                self._state.notify_all()
            return not self._over
