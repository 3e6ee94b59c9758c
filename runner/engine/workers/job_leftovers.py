"""Restores the process after a job, or has it replaced, so that nothing reaches the next job.

Looked at after each job, so each look is cheap. What can be put back is; for the rest (a thread
that goes on, a file that stays open and perhaps locked, a right that was given up) `put_back` says
what it was, and the child ends after this job. A module's own variables live as long as the child.
"""

import decimal
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISSOCK
from typing import Any

from headrace.engine.workers.process_aspects import ASPECTS, Aspect
from headrace.queue.process_tree import descendants, kill, reap_adopted

_seeded: list[bool] = []
_seed = random.seed


def _noted_seed(*given: Any, **named: Any) -> None:
    """Seed, and note it: to compare the generator's whole state would cost more than a job."""
    _seeded.append(True)
    _seed(*given, **named)


# Before any job's file is imported.
random.seed = _noted_seed


class ProcessState:
    """The state of this process as a job is to find it."""

    def __init__(self) -> None:
        self._known: list[tuple[Aspect, Any]] = []
        self._reads: list[Callable[[], Any]] = []
        self._states: list[Any] = []
        self._next_descriptor = -1
        self._descriptors: set[int] = set()

    def remember(self) -> None:
        """Take the present state for the one that each job is to find."""
        decimal.getcontext()
        self._known = [(aspect, aspect.known()) for aspect in ASPECTS]
        self._reads = [aspect.read for aspect in ASPECTS]
        self._states = [known for _, known in self._known]
        self._next_descriptor, self._descriptors = _next_descriptor(), _descriptors()

    def put_back(self) -> list[str]:
        """Put the state back; return what cannot be, in words."""
        left = [] if self._is_untouched() else self._not_put_back()
        if _seeded:
            _seeded.clear()
            _seed()
        left += _end_processes()
        left += self._left_open()
        return left

    def _is_untouched(self) -> bool:
        """Return whether all is as it was; nearly every job leaves it so."""
        try:
            return [read() for read in self._reads] == self._states
        except Exception:  # noqa: BLE001 - which of them it was is found one by one
            return False

    def _not_put_back(self) -> list[str]:
        return [aspect.name for aspect, known in self._known if not _is_put_back(aspect, known)]

    def _left_open(self) -> Iterator[str]:
        """Look for files that have stayed open; sockets are connections that are kept for long."""
        following = _next_descriptor()
        if following == self._next_descriptor:
            return
        if following < 0:
            yield "no file to open, or standard output closed"
            return
        now = _descriptors()
        for descriptor in now - self._descriptors:
            with suppress(OSError):
                if not S_ISSOCK(os.fstat(descriptor).st_mode):
                    yield "an open file"
                    return
        self._next_descriptor, self._descriptors = _next_descriptor(), now


def _is_put_back(aspect: Aspect, known: Any) -> bool:
    with suppress(Exception):
        if aspect.read() == known:
            return True
        if aspect.put is not None:
            aspect.put(known)
            return bool(aspect.read() == known)
    return False


# -- processes and files ------------------------------------------------------------------


def _end_processes() -> Iterator[str]:
    """End what a job has started and left running; it has no other time than the job's."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return
    reap_adopted()
    told = False
    # A killed one may take a moment to die.
    while left := [one for one in descendants(os.getpid()) if not one.zombie]:
        if not told:
            yield "processes"
        told = True
        for process in left:
            kill(process)
        reap_adopted()


def _next_descriptor() -> int:
    """Return the number that the next file to be opened gets: another one if one is left open.

    -1 where none can be.
    """
    try:
        descriptor = os.dup(1)
    except OSError:
        return -1
    os.close(descriptor)
    return descriptor


def _descriptors() -> set[int]:
    folder = Path("/proc/self/fd")
    listed = [int(one.name) for one in folder.iterdir()] if folder.is_dir() else []
    # Not the one by which the folder itself was read.
    return {descriptor for descriptor in listed if _is_open(descriptor)}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
