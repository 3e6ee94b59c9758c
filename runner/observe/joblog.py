"""Collects the log lines of a job while it runs, from every source."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from headrace.errors.shortened import shortened
from headrace.model.storable import fitted
from headrace.observe.logpage import LONGEST_BYTES, Line, LogPage
from headrace.observe.records import said
from headrace.observe.redaction import redacted

JOB_LOGGER = "headrace.job"
_OWN = "headrace."
_MOST_CHARACTERS = 4000

_NAMES = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"), (0, "debug"))


def level_name(level: int) -> str:
    """Return how a level is called in a row: that of the nearest standard level below."""
    return next(name for least, name in _NAMES if level >= least)


class JobLog(logging.Handler):
    """Puts what the attempt at hand says onto its page. One a process.

    As a handler it takes the records of every logger but Headrace's own; `say` takes what comes
    another way.
    """

    def __init__(self, page: LogPage | None = None) -> None:
        super().__init__(logging.INFO)
        self.page = page or LogPage()
        self._pid = os.getpid()
        self._subject: tuple[UUID, int] | None = None
        self._begun = False
        self._lock = threading.RLock()
        # Takes what has been written by other ways up to now.
        self.drain: Callable[[], None] = lambda: None
        self.lock = self._lock

    def createLock(self) -> None:  # noqa: N802 - as logging calls it
        """Make no other lock than that of `held`."""

    def held(self) -> threading.RLock:
        """Return the lock under which lines are taken."""
        return self._lock

    # -- an attempt -------------------------------------------------------------------

    def begin(self, job_id: UUID, attempt: int) -> None:
        """Begin an attempt: it owns what is logged from now on."""
        self._subject, self._begun = (job_id, attempt), False

    def end(self) -> None:
        """End the attempt; what it has logged stays until `begin`."""
        self.drain()
        self._subject = None

    @property
    def listening(self) -> bool:
        """Return whether an attempt is at hand."""
        return self._subject is not None

    @property
    def said(self) -> bool:
        """Return whether the attempt has logged anything."""
        return self._begun

    @property
    def unkept(self) -> "Unkept | None":
        """Return the lines of the attempt that the database does not have yet, None for none."""
        return unkept(self.page) if self._begun else None

    # -- saying -----------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record's line."""
        name = record.name
        if name.startswith(_OWN) and not name.startswith(JOB_LOGGER):
            return
        self.say([said(record, with_traceback=True)], record.levelno, record.created)

    def say(
        self, lines: Sequence[str | bytes], level: int = logging.INFO, at: float | None = None
    ) -> None:
        """Take lines; as bytes they are what a program has written."""
        if os.getpid() != self._pid:
            self._pass_on(lines)
            return
        with self._lock:
            if self._subject is None:
                return
            if not self._begun:
                self._begun = True
                self.page.begin(*self._subject)
            self.page.add(time.time() if at is None else at, level, lines, packed)

    def say_one(self, text: str, level: int) -> None:
        """Take one line, as what is no logger has it."""
        self.say([text], level)

    @staticmethod
    def _pass_on(lines: Sequence[str | bytes]) -> None:
        """In a process that a job has forked: the page is its parent's, the output is read."""
        for line in lines:
            text = line if isinstance(line, bytes) else line.encode("utf-8", "replace")
            os.write(1, text + b"\n")


def packed(line: str | bytes) -> bytes:
    """Return a line as a page holds it: secrets hidden, then cut to its longest."""
    text = line if isinstance(line, str) else line.decode("utf-8", "replace")
    cut = fitted(shortened(redacted(text), _MOST_CHARACTERS))
    return cut.encode()[:LONGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Unkept:
    """Lines of a page that are to be written: `entries` are lines as a row has them.

    `left_out` are the numbers of the first and last line that were not kept, `last` is that of
    the last line; `since` and `until` are in Unix seconds.
    """

    job_id: UUID
    attempt: int
    entries: list[dict[str, Any]]
    left_out: tuple[int, int] | None
    last: int
    since: float
    until: float


def unkept(page: LogPage) -> Unkept | None:
    """Return what of a page the database does not have yet."""
    read = page.read()
    kept = page.kept_of(read.job_id, read.attempt)
    lines = [line for line in (*read.head, *read.tail) if line.number > kept]
    if not lines:
        return None
    return Unkept(
        read.job_id,
        read.attempt,
        [_entry(line) for line in lines],
        read.left_out,
        read.last,
        lines[0].at,
        lines[-1].at,
    )


def _entry(line: Line) -> dict[str, Any]:
    return {
        "line": line.number,
        "at": line.at,
        "level": level_name(line.level),
        "message": line.message,
    }
