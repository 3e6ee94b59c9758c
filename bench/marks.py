"""Shared memory in which every system's jobs record their times.

The body of each benchmark job, in every system, is one call of `mark`: it writes the time into
the job's own place. So the controller sees when work began and ended without asking the system
under test, and without any system having to report it. Standard library only: this runs in
the peers' environments too.

The first job of each worker process can be held at a barrier, so that the clock starts when all
workers are up, warm, and have work in their hands, whatever time they took to start.
"""

import ctypes
import mmap
import os
import struct
import time
from pathlib import Path

_HEADER = 64
_TIME = struct.Struct("d")
VARIABLE = "BENCH_MARKS"


class Marks:
    """One file: a gate, a time and an arrival flag for each of `count` jobs."""

    def __init__(self, path: Path) -> None:
        self._memory = _mapped(path)
        self.count = (len(self._memory) - _HEADER) // (_TIME.size + 1)
        self._arrivals = _HEADER + _TIME.size * self.count

    @classmethod
    def create(cls, path: Path, count: int) -> "Marks":
        """Make the file anew, the gate closed."""
        path.write_bytes(bytes(_HEADER + (_TIME.size + 1) * count))
        return cls(path)

    def mark(self, number: int) -> None:
        """Do a job's work: wait while the gate is closed, then write down the time."""
        if self._memory[0] == 0:
            self._memory[self._arrivals + number] = 1
            while self._memory[0] == 0:
                time.sleep(0.001)
        _TIME.pack_into(self._memory, _HEADER + _TIME.size * number, time.monotonic())

    def arrived(self) -> int:
        """Return how many jobs wait at the gate."""
        return bytes(self._memory[self._arrivals :]).count(1)

    def open(self) -> float:
        """Open the gate for all jobs to come; returns the time (monotonic clock)."""
        self._memory[0] = 1
        return time.monotonic()

    def time(self, number: int) -> float:
        """Return when a job ran, 0 where it has not."""
        return float(_TIME.unpack_from(self._memory, _HEADER + _TIME.size * number)[0])

    def times(self, first: int, count: int) -> list[float]:
        """Return when each of `count` jobs from number `first` on ran, 0 for those that did not."""
        start = _HEADER + _TIME.size * first
        return list(struct.unpack_from(f"{count}d", self._memory, start))

    def wait(self, first: int, count: int, limit_s: float) -> list[float]:
        """Wait until all of these jobs have run; returns their times.

        Raises:
            TimeoutError: Some have not within `limit_s`.
        """
        give_up = time.monotonic() + limit_s
        # The last number is the last to run nearly always: one look is cheap, all are not.
        while True:
            if self.time(first + count - 1):
                times = self.times(first, count)
                if all(times):
                    return times
            if time.monotonic() > give_up:
                done = sum(1 for at in self.times(first, count) if at)
                raise TimeoutError(f"{done} of {count} jobs had run after {limit_s:g} s")
            time.sleep(0.005)


def _mapped(path: Path) -> memoryview:
    """Map a file by hand: Python's own mmap keeps a descriptor of it.

    Headrace replaces a process whose job leaves one open, which would be after each job.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    size = path.stat().st_size
    with path.open("r+b") as file:
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        found = libc.mmap(
            None,
            ctypes.c_size_t(size),
            protection,
            mmap.MAP_SHARED,
            file.fileno(),
            ctypes.c_long(0),
        )
    if found == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), f"{path} could not be mapped")
    return memoryview((ctypes.c_char * size).from_address(found)).cast("B")


_opened: Marks | None = None


def mark(number: int) -> None:
    """Do the job `number` of the run that the environment names."""
    global _opened  # noqa: PLW0603 - one file a process, opened by its first job
    if _opened is None:
        _opened = Marks(Path(os.environ[VARIABLE]))
    _opened.mark(number)
