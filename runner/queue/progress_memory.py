"""Shared memory in which a worker's children say how far their jobs have got.

A child writes as often as it likes, its parent reads once a second; neither waits for the other.
A number that is odd while the child writes tells a reader to look again.
"""

import mmap
import struct
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

_NUMBER = struct.Struct("<I")
_LAYOUT = struct.Struct("<16sIdqqq16s")
_SIZE = 128
_UNKNOWN = -1
_MOST = 2**62


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt has got: rows, and `done` of `total`, each None where it is unknown."""

    job_id: UUID
    attempt: int
    seconds: float
    rows: int | None
    done: int | None
    total: int | None
    unit: str

    def as_json(self) -> dict[str, Any]:
        """Return it for people and programs, with the share and the rate that follow from it."""
        counted = self.rows if self.rows is not None else self.done
        share = min(1.0, self.done / self.total) if self.total and self.done is not None else None
        return {
            "attempt": self.attempt,
            "rows": self.rows,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "share": None if share is None else round(share, 4),
            "seconds": round(self.seconds, 1),
            "per_second": round(counted / self.seconds) if counted and self.seconds > 0 else None,
        }


class ProgressMemory:
    """The records of all children of one worker. Make it before the first fork."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, _SIZE * count)
        self._began: dict[int, tuple[bytes, int, float]] = {}

    def write(
        self,
        index: int,
        key: tuple[UUID, int],
        rows: int | None,
        done: int | None,
        total: int | None,
        unit: str,
    ) -> None:
        """Say how far a child's attempt has got; the first word of it starts the clock."""
        job, attempt = key[0].bytes, key[1]
        began = self._began.get(index)
        if began is None or began[:2] != (job, attempt):
            began = self._began[index] = (job, attempt, time.monotonic())
        at = index * _SIZE
        number = _NUMBER.unpack_from(self._memory, at)[0] | 1
        _NUMBER.pack_into(self._memory, at, number)
        _LAYOUT.pack_into(
            self._memory,
            at + 8,
            job,
            attempt,
            began[2],
            *(_UNKNOWN if one is None else min(max(0, int(one)), _MOST) for one in (rows, done)),
            _UNKNOWN if total is None else min(max(0, int(total)), _MOST),
            _cut(unit),
        )
        _NUMBER.pack_into(self._memory, at, (number + 1) & 0xFFFFFFFF)

    def read(self, index: int) -> Progress:
        """Return what a child has said last."""
        at = index * _SIZE
        for _ in range(1000):
            before = _NUMBER.unpack_from(self._memory, at)[0]
            values = _LAYOUT.unpack_from(self._memory, at + 8)
            if before % 2 == 0 and before == _NUMBER.unpack_from(self._memory, at)[0]:
                break
        job, attempt, began, rows, done, total, unit = values
        known = [None if one == _UNKNOWN else one for one in (rows, done, total)]
        text = unit.rstrip(b"\0").decode("utf-8", "replace")
        seconds = time.monotonic() - began
        return Progress(UUID(bytes=job), attempt, seconds, known[0], known[1], known[2], text)


def _cut(unit: str) -> bytes:
    """Return a unit in at most 16 bytes, no character cut in two."""
    return unit.encode("utf-8", "replace")[:16].decode("utf-8", "ignore").encode()
