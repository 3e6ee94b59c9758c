"""Decides when a worker's child exits: on request, or at its job or memory limit."""

import logging
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Protocol

from headrace.errors import HeadraceError, JobStopped
from headrace.store.backoff import Outage

log = logging.getLogger("headrace.worker")


class Stop(BaseException):
    """Raised by the signal handler where nothing is at hand."""


class Orders(Protocol):
    """What the worker's parent says; its signals only ask to look here."""

    @property
    def draining(self) -> bool:
        """Whether no further job may be begun."""
        ...

    @property
    def told_to_end(self) -> bool:
        """Whether the child is to end at once, in the middle of its job."""
        ...


class _NoOrders:
    draining = told_to_end = False


class _Work:
    """The block of `Life.at_work`: no generator stands around each small job."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    def __enter__(self) -> None:
        """Let the job be stopped from now on."""
        self._life.works = True
        # A signal that came before the flag was set has left its own.
        if self._life.told_to_end:
            self._life.works = False
            raise JobStopped("the job was stopped before it began")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise where the job has caught that it was to stop."""
        self._life.works = False
        if kind is None and self._life.told_to_end:
            raise JobStopped("the job was stopped")


class Life:
    """A child's life. `max_jobs` and `max_memory_bytes` end it; 0 sets no limit."""

    def __init__(
        self, orders: Orders | None = None, *, max_jobs: int = 0, max_memory_bytes: int = 0
    ) -> None:
        self.jobs = 0
        self._orders: Orders = orders or _NoOrders()
        self._asked = False
        # Whether a job's code runs, which a signal may stop.
        self.works = False
        self._told = False
        self._max_jobs = max_jobs
        self._max_memory_bytes = max_memory_bytes
        self._waiting = False
        self._outage = Outage(log, first_pause_s=0.05)
        self._work = _Work(self)

    def begin(self) -> None:
        """From now on SIGTERM asks to stop: after the present job, or in the middle of it."""
        signal.signal(signal.SIGTERM, self._on_stop)

    def leave(self, why: str) -> None:
        """End after the present job: its process is not fit for another one."""
        if not self._asked:
            log.debug("replacing this process: %s", why)
        self._asked = True

    @property
    def told_to_end(self) -> bool:
        """Whether it is to end at once, in the middle of its job."""
        return self._orders.told_to_end

    @property
    def stopping(self) -> bool:
        """Whether it has been asked to end, by a signal or without one."""
        return self._asked or self._orders.draining or self._orders.told_to_end

    def at_work(self) -> AbstractContextManager[None]:
        """Return a block in which a job may be stopped inside.

        Raises:
            JobStopped: The parent has told the child to end; also where the job has caught that.
        """
        return self._work

    @property
    def ended(self) -> bool:
        """Whether no further job may be begun."""
        if self.stopping or 0 < self._max_jobs <= self.jobs:
            return True
        if not self._max_memory_bytes:
            return False
        unit = 1 if sys.platform == "darwin" else 1024
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return used > self._max_memory_bytes

    def room(self, most: int, *, at_work: int) -> int:
        """Return how many of `most` jobs may be begun after the `at_work` present ones."""
        if self.ended:
            return 0
        return max(0, min(most, self._max_jobs - self.jobs - at_work)) if self._max_jobs else most

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait inside for something: a signal to stop ends that at once.

        Raises:
            Stop: The child has been asked to stop.
        """
        self._waiting = True
        try:
            # A signal that came before the flag was set has left its own.
            if self.stopping:
                raise Stop
            yield
        finally:
            self._waiting = False

    def sleep(self, seconds: float) -> None:
        """Sleep, unless the child is asked to stop; see `waiting`."""
        with self.waiting():
            time.sleep(seconds)

    def sit_out(self, error: HeadraceError) -> None:
        """Wait before a server is tried again that did not answer; see `waiting`."""
        self.sleep(self._outage.pause_s(error))

    def go_on(self) -> None:
        """Say that the servers answer."""
        self._outage.over()

    def _on_stop(self, _signal: int, _frame: Any) -> None:
        self._asked = True
        if self._told:
            # It is tidying up.
            return
        self._told = self._orders.told_to_end
        if self._told and self.works:
            raise JobStopped("the job was stopped: it has timed out, or it is no longer wanted")
        if self._waiting:
            raise Stop
