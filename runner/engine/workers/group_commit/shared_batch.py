"""Shared memory with a child's batch, from which its worker's parent may complete it.

While a job runs, the others of its batch are published there: those that have ended, with their
results and log lines, and those that have not begun. A lock, which nobody holds for longer than a
few instructions, ensures that either the child withdraws the batch or the parent collects it.
"""

import mmap
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from typing import NamedTuple
from uuid import UUID

from headrace.errors import ConfigError
from headrace.queue.shared_memory import MOST_HELD

# The child's to change; to be collected by the parent if the job takes long; collected.
_PRIVATE, _PUBLISHED, _COLLECTED = 0, 1, 2
# State, number of jobs, the place of the one that runs, bytes of texts, the child's process;
# when they were claimed, and when the one that runs began.
_HEAD = struct.Struct("<BxxxIIIIxxxxdd")
_STATE_AT, _COUNT_AT, _PLACE_AT, _USED_AT, _PID_AT, _BEGAN_AT = 0, 4, 8, 12, 16, 32
# Job, attempt, where its log lines begin, how long they are, how long the result behind them is.
# That length is written last: a child that dies in between has not ended the job.
_ENTRY = struct.Struct("<16sIIIi")
_NUMBER, _SECONDS = struct.Struct("<I"), struct.Struct("<d")
_NOT_ENDED, _NO_RESULT = -2, -1
_TEXTS_AT = _HEAD.size + MOST_HELD * _ENTRY.size
_TEXTS_SIZE = 64 << 10
_SIZE = _TEXTS_AT + _TEXTS_SIZE

Attempt = tuple[UUID, int]


class EndedJob(NamedTuple):
    """An attempt that has ended: its result in JSON, and its log lines as `LogLines.entries`."""

    job_id: UUID
    attempt: int
    result: str | None
    lines: str | None = None


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """What a child had not recorded: `ended` with their results, in JSON, and `not_begun`.

    `claimed_at` is the moment, on the monotonic clock, after which all of them were claimed.
    """

    ended: Sequence[EndedJob]
    not_begun: Sequence[Attempt]
    claimed_at: float


class SharedBatch:
    """The batch of one child. Make it before the fork, and `reset` it for each further child.

    `polled` is a byte in which the parent says that it looks at the batches by itself.
    """

    def __init__(self, polled: mmap.mmap) -> None:
        self._polled = polled
        self._memory = mmap.mmap(-1, _SIZE)
        self._places: dict[UUID, int] = {}
        self.reset()

    def reset(self) -> None:
        """Empty it, with a new lock: a child that was killed may have held the old one.

        Raises:
            ConfigError: This system has no semaphores.
        """
        try:
            self._lock = get_context("fork").Lock()
        except (ImportError, OSError) as error:
            raise ConfigError(
                f"short jobs cannot share commits here, there are no semaphores ({error}): make"
                " /dev/shm available and writable, or set jobs_per_commit: 1"
            ) from error
        self._memory[: _HEAD.size] = bytes(_HEAD.size)
        self._places.clear()

    # -- in the child -----------------------------------------------------------------

    @property
    def polled(self) -> bool:
        """Whether the parent looks by itself."""
        return self._polled[0] == 1

    def begin(self, jobs: Sequence[Attempt], claimed_at: float) -> None:
        """Begin a batch of jobs, in their order, all of which were claimed after `claimed_at`."""
        self.clear()
        for place, (job_id, attempt) in enumerate(jobs):
            at = _HEAD.size + place * _ENTRY.size
            _ENTRY.pack_into(self._memory, at, job_id.bytes, attempt, 0, 0, _NOT_ENDED)
        self._places = {job_id: place for place, (job_id, _) in enumerate(jobs)}
        # The count last: a child that dies in between has no batch rather than a wrong one.
        _HEAD.pack_into(self._memory, 0, _PRIVATE, 0, 0, 0, os.getpid(), claimed_at, 0.0)
        _NUMBER.pack_into(self._memory, _COUNT_AT, len(jobs))

    def add_result(
        self, job_id: UUID, attempt: int, result: str | None, lines: str | None = None
    ) -> bool:
        """Add a job that has ended; False if it does not fit or is of no batch."""
        place = self._places.get(job_id)
        if place is None:
            return False
        said, encoded = (lines or "").encode(), (result or "").encode()
        used = _NUMBER.unpack_from(self._memory, _USED_AT)[0]
        text = said + encoded
        if used + len(text) > _TEXTS_SIZE:
            return False
        start = _TEXTS_AT + used
        self._memory[start : start + len(text)] = text
        _NUMBER.pack_into(self._memory, _USED_AT, used + len(text))
        length = _NO_RESULT if result is None else len(encoded)
        at = _HEAD.size + place * _ENTRY.size
        _ENTRY.pack_into(self._memory, at, job_id.bytes, attempt, used, len(said), length)
        return True

    def publish(self, running: UUID, *, patience_s: float = 0.0) -> None:
        """Let the parent collect the batch while one of its jobs runs, so much later."""
        _NUMBER.pack_into(self._memory, _PLACE_AT, self._places[running])
        self.publish_again(patience_s=patience_s)

    def publish_again(self, *, patience_s: float = 0.0) -> None:
        """Publish it once more in the middle of the same job."""
        with self._lock:
            _SECONDS.pack_into(self._memory, _BEGAN_AT, time.monotonic() + patience_s)
            self._memory[_STATE_AT] = _PUBLISHED

    def withdraw(self) -> bool:
        """Take the batch back; False if the parent has collected it, which records all of it."""
        with self._lock:
            own = self._memory[_STATE_AT] != _COLLECTED
            self._memory[_STATE_AT] = _PRIVATE
        if not own:
            self.clear()
        return own

    def clear(self) -> None:
        """Have no batch any longer."""
        _NUMBER.pack_into(self._memory, _COUNT_AT, 0)
        self._places = {}

    # -- in the parent ----------------------------------------------------------------

    def began(self) -> float | None:
        """Return when the running job began; None if nothing is published."""
        if self._memory[_STATE_AT] != _PUBLISHED:
            return None
        began: float = _SECONDS.unpack_from(self._memory, _BEGAN_AT)[0]
        return began

    @property
    def pid(self) -> int:
        """The process of the child that has begun the batch."""
        return int(_NUMBER.unpack_from(self._memory, _PID_AT)[0])

    def collect(self, began: float) -> PendingBatch | None:
        """Collect the batch from a child whose job began then; None if it has withdrawn it."""
        if not self._lock.acquire(block=False):
            return None
        try:
            if self.began() != began:
                return None
            pending = self._read()
            self._memory[_STATE_AT] = _COLLECTED
        finally:
            self._lock.release()
        return pending

    def remaining(self) -> PendingBatch | None:
        """Return the batch of a child that has died; None if it had none.

        The child may have recorded some of it: the fence decides.
        """
        return None if self._memory[_STATE_AT] == _COLLECTED else self._read()

    def _read(self) -> PendingBatch | None:
        _, count, running, _, _, claimed_at, _ = _HEAD.unpack_from(self._memory, 0)
        ended: list[EndedJob] = []
        not_begun: list[Attempt] = []
        for place in range(min(count, MOST_HELD)):
            at = _HEAD.size + place * _ENTRY.size
            job, attempt, start, said, length = _ENTRY.unpack_from(self._memory, at)
            if length != _NOT_ENDED:
                result = None if length == _NO_RESULT else self._text(start + said, length)
                lines = self._text(start, said) if said else None
                ended.append(EndedJob(UUID(bytes=job), attempt, result, lines))
            elif place > running:
                not_begun.append((UUID(bytes=job), attempt))
        return PendingBatch(ended, not_begun, claimed_at) if ended or not_begun else None

    def _text(self, start: int, length: int) -> str:
        return self._memory[_TEXTS_AT + start : _TEXTS_AT + start + length].decode()
