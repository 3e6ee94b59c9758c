"""Several connections that read one snapshot and write at the same time, each in a thread."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.jobs.mirroring.opening import OpensSnapshots
from headrace.jobs.mirroring.parts import Part

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_PATIENCE_S = 20.0

Load = Callable[[Part, "Session", "Session"], int]
"""Copies a part from one session to another and returns the rows."""


class Crew:
    """Threads with a connection to the source and one to the target each.

    A pooler may have fewer connections than that; then it lets the rest wait for ever, so nothing
    begins before all are open.
    """

    def __init__(
        self,
        job: OpensSnapshots,
        source_connection: str | None,
        target_connection: str | None,
        exported: str,
        size: int,
    ) -> None:
        self._job, self._size, self._exported = job, size, exported
        self._source, self._target = source_connection, target_connection
        self._state = threading.Condition()
        self._open: list[Any] = []
        self._ready = 0
        self._left: list[Part] = []
        self._counts: dict[int, int] = {}
        self._error: BaseException | None = None
        self._may_begin = self._over = False

    def run(self, parts: Sequence[Part], load: Load) -> dict[int, int]:
        """Copy all parts, large ones first; return the rows by table.

        Raises:
            JobFailure: connections are lacking.
            Exception: what the first part to fail has raised.
        """
        self._left = sorted(parts, key=lambda part: part.bytes)
        threads = [
            threading.Thread(
                target=copy_context().run,
                args=(self._work, load),
                name=f"headrace-copy-{number}",
                daemon=True,
            )
            for number in range(self._size)
        ]
        for thread in threads:
            thread.start()
        try:
            self._wait_until_open()
            for thread in threads:
                thread.join()
        finally:
            self._stop(threads)
        if self._error is not None:
            raise self._error
        return self._counts

    def _wait_until_open(self) -> None:
        give_up = time.monotonic() + _PATIENCE_S
        with self._state:
            while self._ready < self._size and self._error is None:
                left_s = give_up - time.monotonic()
                if left_s <= 0:
                    raise JobFailure(
                        f"jobs: {self._size} needs {self._size} connections to the source and as "
                        f"many to the target beside the job's own, but only {self._ready} "
                        f"came about within {_PATIENCE_S:.0f} s: a pooler in between has fewer. "
                        "Lower jobs, raise the pool, or name PostgreSQL's own port"
                    )
                self._state.wait(left_s)
            self._may_begin = True
            self._state.notify_all()

    def _stop(self, threads: Sequence[threading.Thread]) -> None:
        """End what still runs; who still waits for a connection ends by itself once it has one."""
        with self._state:
            self._over = True
            working = self._ready == self._size
            if any(thread.is_alive() for thread in threads):
                self._interrupt()
            self._state.notify_all()
        for thread in threads:
            if working:
                thread.join()

    def _work(self, load: Load) -> None:
        try:
            with (
                self._job.snapshot(self._source, self._exported) as reading,
                self._job.aside(self._target) as writing,
            ):
                raws = [s.connection().connection.dbapi_connection for s in (reading, writing)]
                self._opened(raws)
                while (part := self._next()) is not None:
                    rows = load(part, reading, writing)
                    with self._state:
                        self._counts[part.table] = self._counts.get(part.table, 0) + rows
        except BaseException as error:  # noqa: BLE001 - raised again where the job waits
            self._failed(error)

    def _opened(self, raws: Sequence[Any]) -> None:
        with self._state:
            self._open += raws
            self._ready += 1
            self._state.notify_all()
            while not (self._may_begin or self._over):
                self._state.wait()

    def _next(self) -> Part | None:
        with self._state:
            if self._over or self._error is not None or not self._left:
                return None
            return self._left.pop()

    def _failed(self, error: BaseException) -> None:
        with self._state:
            if self._error is None and not self._over:
                self._error = error
                self._interrupt()
            self._state.notify_all()

    def _interrupt(self) -> None:
        """Have the servers end what they do for these threads."""
        for raw in self._open:
            with contextlib.suppress(Exception):
                raw.cancel()
