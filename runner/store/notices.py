"""Collects PostgreSQL's NOTICEs and WARNINGs for the statements of a job.

The driver keeps fifty and hands them over when a statement has ended. So this process waits for the
answers to a job's statements itself: each notice is heard when it is said, and a signal to stop the
job in the middle of a statement. COPY is the exception, the driver refuses it then.
"""

import logging
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2 import extensions
from psycopg2.extensions import POLL_OK, POLL_READ, set_wait_callback

Said = Callable[[str, int], None]

_LEVELS = {"WARNING": logging.WARNING, "DEBUG": logging.DEBUG}
# A wait is looked up from now and then: a signal may come between two of them.
_LOOK_S = 5.0
_open = [False]
_heard_by: list[Callable[[str], None]] = []


class Notices:
    """Stands where the driver keeps a list; each notice is said as it comes."""

    def __init__(self, say: Said) -> None:
        self._say = say

    def append(self, notice: str) -> None:
        """Say a notice: `WARNING:  text`, a line for each further part of it."""
        text = notice.rstrip()
        severity = text.partition(":")[0].strip().upper()
        for heard in _heard_by:
            heard(text)
        self._say(text.replace(":  ", ": ", 1), _LEVELS.get(severity, logging.INFO))


class SpeakingCursor(extensions.cursor):
    """A cursor that waits for the answers to a job's statements where signals are heard."""

    def execute(self, *given: Any, **named: Any) -> None:
        """See psycopg2."""
        if not _waits_openly():
            super().execute(*given, **named)
            return
        set_wait_callback(_wait)
        try:
            super().execute(*given, **named)
        finally:
            set_wait_callback(None)

    def executemany(self, *given: Any, **named: Any) -> None:
        """See psycopg2."""
        with _openly():
            super().executemany(*given, **named)

    def fetchmany(self, *given: Any, **named: Any) -> list[tuple[Any, ...]]:
        """See psycopg2; a cursor with a name asks the server."""
        if self.name is None:
            return super().fetchmany(*given, **named)
        with _openly():
            return super().fetchmany(*given, **named)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """See psycopg2; a cursor with a name asks the server."""
        if self.name is None:
            return super().fetchall()
        with _openly():
            return super().fetchall()


def attach(raw: Any, say: Said) -> None:
    """Have what the server says on a connection said by `say`."""
    raw.notices = Notices(say)
    raw.cursor_factory = SpeakingCursor


@contextmanager
def notices_heard() -> Iterator[list[str]]:
    """Yield a list that gets every notice within the block, on whatever connection."""
    heard: list[str] = []
    _heard_by.append(heard.append)
    try:
        yield heard
    finally:
        _heard_by.remove(heard.append)


def open_waits(yes: bool) -> None:
    """Say whether a job is at work: for statements of our own the driver's wait is the faster."""
    _open[0] = yes


def _waits_openly() -> bool:
    # The driver has one callback for all threads; signals come to the main one.
    return _open[0] and threading.current_thread() is threading.main_thread()


@contextmanager
def _openly() -> Iterator[None]:
    if not _waits_openly():
        yield
        return
    set_wait_callback(_wait)
    try:
        yield
    finally:
        set_wait_callback(None)


def _wait(connection: Any) -> None:
    while (state := connection.poll()) != POLL_OK:
        waiting = select.poll()
        side = select.POLLIN if state == POLL_READ else select.POLLOUT
        waiting.register(connection.fileno(), side)
        waiting.poll(_LOOK_S * 1000)
