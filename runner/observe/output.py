"""Captures a job's standard output and standard error for its log.

`print` comes straight to the log. What programs that it starts and libraries in C write goes to the
descriptors 1 and 2: they are a pipe, which a thread of this process reads, and after its death
its parent.
"""

import io
import logging
import os
import select
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from headrace.observe.joblog import JobLog
from headrace.observe.line_assembly import Linewise

_PIECE = 1 << 16
_LONGEST = 1 << 16


class Spoken(io.TextIOBase):
    """A standard stream whose lines are a job's log."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, log: JobLog, descriptor: int, level: int) -> None:
        super().__init__()
        self._log, self._descriptor, self._level = log, descriptor, level
        self._lines = Linewise(_LONGEST)
        self._pid = os.getpid()
        self._begun = False
        self.buffer = io.FileIO(descriptor, "w", closefd=False)

    def write(self, text: str) -> int:
        """Take text; each line that ends in it is one of the log."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        piece = text.encode("utf-8", "replace")
        if os.getpid() != self._pid:
            # In a process that the job has forked: the descriptor leads to its parent.
            os.write(self._descriptor, piece)
            return len(text)
        with self._log.held():
            self._say(self._lines.feed(piece))
            self._begun = True
        return len(text)

    def end_line(self) -> None:
        """Take what was written without a line's end."""
        if self._begun:
            self._begun = False
            self._say(self._lines.end())

    def _say(self, lines: Sequence[bytes]) -> None:
        if lines:
            self._log.say(lines, self._level)

    def fileno(self) -> int:
        """Return the descriptor that programs get for it."""
        return self._descriptor

    def writable(self) -> bool:
        """Return True: it takes text."""
        return True

    def reconfigure(self, **_options: Any) -> None:
        """Change nothing: lines are lines."""

    def close(self) -> None:
        """Stay open: the next job speaks over it, too."""


class Output:
    """The standard streams of a worker's child. Read the pipe's other end after its death."""

    def __init__(self, log: JobLog, pipe: tuple[int, int]) -> None:
        self._log = log
        self._reader, self._writer = pipe
        self._lines = Linewise(_LONGEST)
        self._written = False
        self._out = Spoken(log, 1, logging.INFO)
        self._err = Spoken(log, 2, logging.WARNING)
        # Without a job at hand, what is written is the worker's own.
        self._aside = os.dup(2)

    def redirect(self) -> None:
        """Have this process's standard streams lead to the log; its own records stay outside."""
        for handler in logging.getLogger().handlers:
            stream = getattr(handler, "stream", None)
            if isinstance(handler, logging.StreamHandler) and stream is not None:
                with suppress(OSError, ValueError, AttributeError):
                    stream.flush()
                    copy = os.dup(stream.fileno())
                    aside = os.fdopen(copy, "w", encoding="utf-8", errors="replace")
                    handler.setStream(aside)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(self._writer, 1)
        os.dup2(self._writer, 2)
        os.close(self._writer)
        os.set_blocking(self._reader, False)
        sys.stdout, sys.stderr = self._out, self._err
        self._log.drain = self.drain
        # Another thread's lines are no state that a forked process may find half done.
        os.register_at_fork(
            before=self._log.acquire,
            after_in_parent=self._log.release,
            after_in_child=self._log.release,
        )
        threading.Thread(target=self._read, name="headrace-output", daemon=True).start()

    def drain(self) -> None:
        """Take all that has been written up to now."""
        self._out.end_line()
        self._err.end_line()
        with self._log.held():
            self._drain()
            if self._written:
                self._written = False
                self._say(self._lines.end())

    # -- inside -----------------------------------------------------------------------

    def _read(self) -> None:
        waiting = select.poll()
        waiting.register(self._reader, select.POLLIN)
        while True:
            waiting.poll()
            with self._log.held():
                if not self._drain():
                    return

    def _drain(self) -> bool:
        """Take what is there; False at the end of the pipe."""
        while True:
            try:
                piece = os.read(self._reader, _PIECE)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not piece:
                return False
            self._written = True
            self._say(self._lines.feed(piece))

    def _say(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        if self._log.listening:
            self._log.say(lines)
        else:
            os.write(self._aside, b"".join(line + b"\n" for line in lines))


def last_words(reader: int, say: Callable[[Sequence[bytes]], None]) -> None:
    """Read, in the parent, what a child that has ended has left in its pipe."""
    lines = Linewise(_LONGEST)
    os.set_blocking(reader, False)
    with suppress(BlockingIOError):
        while piece := os.read(reader, _PIECE):
            say(lines.feed(piece))
    say(lines.end())
