"""Shared memory in which a worker's children report to their parent.

A child writes its record a few times a job, the parent reads it a few times a second; neither
waits for the other, and a record survives the child that wrote it. A number that is odd while
the child writes tells a reader to look again.
"""

import mmap
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

IDLE, TAKEN, RUNNING, COMPLETING = 0, 1, 2, 3
# The attempt has been claimed; a deadline holds.
AT_WORK = (RUNNING, COMPLETING)
NOTHING = UUID(int=0)

_LAYOUT = struct.Struct("<BI16sdII")
_NUMBER = struct.Struct("<I")
# A byte of the parent's: the child is to end in the middle of its job.
_TOLD_AT = 60
# Behind it: what the child holds beside its job, a count and as many messages.
_HELD_AT = 64
_HELD = struct.Struct("<16sI")
MOST_HELD = 64
_SIZE = _HELD_AT + _NUMBER.size + MOST_HELD * _HELD.size + 12


@dataclass(frozen=True, slots=True)
class ChildView:
    """One reading of a record.

    `attempt` is the one that runs, or in state TAKEN the number in the message. `deadline` is
    in seconds of the monotonic clock. `backend_pid` is the child's process at the control
    database, 0 before it has connected. `held` are messages (job id, the number in the message)
    that the child has taken beside that one's: perhaps claimed, perhaps completed by now.
    """

    state: int
    job_id: UUID
    attempt: int
    deadline: float
    backend_pid: int
    finished: int
    held: tuple[tuple[UUID, int], ...] = ()


class ChildRecords:
    """The records of all children of one worker. Make it before the first fork."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, _SIZE * (count + 1))
        self.count = count
        # The pipe into which a child writes to have its parent look at once.
        self.wake_pipe = -1

    def record(self, index: int) -> "ChildRecord":
        """Return the record for a child to write."""
        return ChildRecord(self, index)

    def read(self, index: int) -> ChildView:
        """Return what the child last wrote."""
        start = index * _SIZE
        for _ in range(1000):
            before = _NUMBER.unpack_from(self._memory, start)[0]
            values = _LAYOUT.unpack_from(self._memory, start + _NUMBER.size)
            if before % 2 == 0 and before == _NUMBER.unpack_from(self._memory, start)[0]:
                break
        state, attempt, job, deadline, backend, finished = values
        held = self._held(start + _HELD_AT)
        return ChildView(state, UUID(bytes=job), attempt, deadline, backend, finished, held)

    def _held(self, at: int) -> tuple[tuple[UUID, int], ...]:
        count = min(_NUMBER.unpack_from(self._memory, at)[0], MOST_HELD)
        at += _NUMBER.size
        messages = self._memory[at : at + count * _HELD.size]
        return tuple((UUID(bytes=job), number) for job, number in _HELD.iter_unpack(messages))

    def hold(self, index: int, messages: Sequence[tuple[UUID, int]]) -> None:
        """Write what a child holds; no more than `MOST_HELD` messages."""
        at = index * _SIZE + _HELD_AT
        # The count last: a child that dies in between has said nothing rather than nonsense.
        _NUMBER.pack_into(self._memory, at, 0)
        packed = b"".join(_HELD.pack(job.bytes, number) for job, number in messages)
        self._memory[at + _NUMBER.size : at + _NUMBER.size + len(packed)] = packed
        _NUMBER.pack_into(self._memory, at, len(messages))

    def write(
        self,
        index: int,
        state: int,
        job_id: UUID,
        attempt: int,
        deadline: float,
        backend_pid: int,
        finished: int,
    ) -> None:
        """Write a record whole; its parts are those of a `ChildView`."""
        memory, start = self._memory, index * _SIZE
        number = _NUMBER.unpack_from(memory, start)[0] | 1
        _NUMBER.pack_into(memory, start, number)
        _LAYOUT.pack_into(
            memory, start + _NUMBER.size, state, attempt, job_id.bytes, deadline, backend_pid,
            finished,
        )  # fmt: skip
        _NUMBER.pack_into(memory, start, (number + 1) & 0xFFFFFFFF)

    def clear(self, index: int) -> None:
        """Empty the record of a child that is gone, its count of finished jobs kept."""
        finished = self.read(index).finished
        self.hold(index, ())
        self._memory[index * _SIZE + _TOLD_AT] = 0
        self.write(index, IDLE, NOTHING, 0, 0.0, 0, finished)

    def tell_to_end(self, index: int) -> None:
        """Say that a child is to end at once; a signal wakes it up to look."""
        self._memory[index * _SIZE + _TOLD_AT] = 1

    def told_to_end(self, index: int) -> bool:
        """Whether a child has been told to end at once."""
        return self._memory[index * _SIZE + _TOLD_AT] == 1

    @property
    def draining(self) -> bool:
        """Whether no further job may be taken: the worker stops. No signal can be missed for it."""
        return self._memory[self.count * _SIZE + 1] == 1

    @draining.setter
    def draining(self, value: bool) -> None:
        self._memory[self.count * _SIZE + 1] = int(value)

    @property
    def suspended(self) -> bool:
        """Whether `rq suspend` is in force; the parent looks, the children obey."""
        return self._memory[self.count * _SIZE] == 1

    @suspended.setter
    def suspended(self, value: bool) -> None:
        self._memory[self.count * _SIZE] = int(value)


class ChildRecord:
    """A child's pen for its own record."""

    def __init__(self, records: ChildRecords, index: int) -> None:
        self._records = records
        self.index = index
        self._backend_pid = 0
        self._current = (NOTHING, 0, 0.0)
        self._holds = False
        self._finished = records.read(index).finished

    @property
    def suspended(self) -> bool:
        """Whether no new job may be taken at present."""
        return self._records.suspended

    @property
    def draining(self) -> bool:
        """Whether the worker stops: no further job may be begun."""
        return self._records.draining

    @property
    def told_to_end(self) -> bool:
        """Whether this child is to end at once, in the middle of its job."""
        return self._records.told_to_end(self.index)

    def wake_parent(self) -> None:
        """Have the parent look at once; by itself it looks a few times a second."""
        # A full pipe wakes it as well.
        with suppress(OSError):
            os.write(self._records.wake_pipe, b"\0")

    def connected(self, backend_pid: int) -> None:
        """Say which process serves this child at the control database."""
        self._backend_pid = backend_pid
        self.idle(finished=False)

    def taken(self, job_id: str, attempt: int) -> None:
        """Say that a message has been taken and is not yet claimed."""
        self._write(TAKEN, UUID(job_id), attempt, 0.0)

    def running(self, job_id: UUID, attempt: int, deadline: float) -> None:
        """Say which attempt runs, and until when it may."""
        self._current = (job_id, attempt, deadline)
        self._write(RUNNING, *self._current)

    def completing(self) -> None:
        """Say that the attempt is about to be completed, or is already: the fence decides."""
        self._write(COMPLETING, *self._current)

    def holding(self, messages: Sequence[tuple[UUID, int]]) -> None:
        """Say which messages have been taken beside the one that `running` or `taken` tells."""
        self._holds = bool(messages)
        self._records.hold(self.index, messages)

    def finished(self) -> None:
        """Count a job that has ended while others are at hand; told with the next change."""
        self._finished += 1

    def idle(self, *, finished: bool = True) -> None:
        """Say that nothing is at hand."""
        self._finished += finished
        if self._holds:
            self.holding(())
        self._write(IDLE, NOTHING, 0, 0.0)

    def _write(self, state: int, job_id: UUID, attempt: int, deadline: float) -> None:
        self._records.write(
            self.index, state, job_id, attempt, deadline, self._backend_pid, self._finished
        )
