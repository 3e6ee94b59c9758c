"""The parent's side of jobs' logs: lines are in the database soon after they were said.

A child puts its lines onto a page in memory that both see, and sends them with the completion of
its job. Of a job that goes on for longer, and of a child that has died, the parent writes them.
"""

import logging
import os
import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from headrace.errors import StoreUnavailable
from headrace.observe.joblog import Unkept, packed, unkept
from headrace.observe.logpage import LogPage
from headrace.observe.output import last_words
from headrace.store.database import Database
from headrace.store.log_lines import LogLines, log_lines

log = logging.getLogger("headrace.worker")

# Lines wait this long for the end of their job, in seconds.
_PATIENCE_S = 0.5
# Of attempts whose children have died while PostgreSQL was away.
_MOST_WAITING = 1000


class LogKeeper:
    """The pages of one worker's children. Make it before the first fork."""

    def __init__(self, database: Database, children: int) -> None:
        self._database = database
        self.pages = [LogPage() for _ in range(children)]
        self.pipes: dict[int, tuple[int, int]] = {}
        self._seen: dict[int, int] = {}
        self._waiting: list[Unkept] = []

    # -- a child's output -------------------------------------------------------------

    def open_pipe(self, index: int) -> None:
        """Make the pipe of a child that is about to be forked: it writes, both may read."""
        self.pipes[index] = os.pipe()

    def forked(self, index: int) -> None:
        """Let go of the pipe's end that is the child's to write."""
        os.close(self.pipes[index][1])

    def ended(self, index: int, job_id: UUID, attempt: int) -> None:
        """Take what a child that has ended has left: its last output, and its page."""
        page = self.pages[index]
        page.go_on()

        def say(lines: Sequence[bytes]) -> None:
            if not lines:
                return
            read = page.read()
            if (read.job_id, read.attempt) != (job_id, attempt):
                page.begin(job_id, attempt)
            page.add(time.time(), logging.INFO, lines, packed)

        reader, _ = self.pipes.pop(index)
        if attempt:
            last_words(reader, say)
        os.close(reader)
        left = unkept(page)
        if left is not None and len(self._waiting) < _MOST_WAITING:
            self._waiting.append(left)
        self._seen.pop(index, None)

    # -- writing ----------------------------------------------------------------------

    def keep(self, running: Iterable[tuple[int, UUID, int]]) -> float | None:
        """Write what jobs that run (child, job, attempt) have said a moment ago.

        Returns in how many seconds there will be more to write, None where nothing is known.
        """
        due: list[float] = []
        for index, job_id, attempt in running:
            page = self.pages[index]
            turn = page.turn
            if self._seen.get(index) == turn:
                continue
            said = unkept(page)
            if said is None or (said.job_id, said.attempt) != (job_id, attempt):
                self._seen[index] = turn
                continue
            age = time.time() - said.since
            if 0 <= age < _PATIENCE_S:
                due.append(_PATIENCE_S - age)
            elif self._write(said, running=True):
                page.keep(said.job_id, said.attempt, said.last)
                self._seen[index] = turn
        return min(due, default=None)

    def keep_last_words(self) -> None:
        """Write what children that have ended have left; the rest waits for the next call."""
        while self._waiting and self._write(self._waiting[0], running=False):
            del self._waiting[0]

    def _write(self, said: Unkept, *, running: bool) -> bool:
        key: dict[str, Any] = {"id": said.job_id, "attempt": said.attempt}
        try:
            with self._database.transaction() as tx:
                if not tx.rows("may_keep_log", **key, running=running):
                    # Cancelled meanwhile, say: what is left is written when its child has ended.
                    # Where the job itself is gone, nothing is.
                    return not running
                values = lines_of(said).values
                tx.rows("hold_log", **key, **values)
                tx.rows("forget_left_out", **key, **values)
                tx.rows("add_log_lines", **key, **values)
        except StoreUnavailable as error:
            log.debug("log lines of job %s will be written later: %s", said.job_id, error)
            return False
        return True


def lines_of(said: Unkept) -> LogLines:
    """Return lines as the store takes them."""
    return log_lines(said.entries, said.left_out, said.until)
