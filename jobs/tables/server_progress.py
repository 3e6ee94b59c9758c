"""Watches a long statement from a second session: PostgreSQL says there how far it has got."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from headrace import jobapi
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import connection_of, execute, packaged_sql

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

CONNECTION = "headrace_connection"
"""The execution option of a job's connection that holds its name; see `store.job_engines`."""

# A statement that is over sooner is never watched.
_FIRST_S, _EVERY_S = 1.0, 1.0
# How long the end of a statement waits for a look that is under way.
_LAST_LOOK_S = 5.0


class Watch:
    """Looks at a server process each second, each time in a transaction of its own.

    A longer one would hold up REINDEX CONCURRENTLY, which waits for the others' to end.
    """

    def __init__(self, connection: str | None, pid: int, *, adds_rows: bool) -> None:
        self._connection, self._pid, self._adds_rows = connection, pid, adds_rows
        self._meter = jobapi.meter()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.rows = 0

    def begin(self) -> None:
        """Start the thread that looks."""
        run = copy_context().run
        self._thread = threading.Thread(
            target=run, args=(self._look,), name="headrace-progress", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_LAST_LOOK_S)

    def count_rows(self, rows: int) -> None:
        """Count rows of a copy, `rows` in all so far."""
        self._meter.add_rows(rows - self.rows)
        self.rows = rows

    def _look(self) -> None:
        pause_s = _FIRST_S
        try:
            while not self._ended.wait(pause_s):
                with jobapi.current().aside(self._connection) as session:
                    statement = packaged_sql("server_progress", pid=self._pid)
                    row = execute(session, statement).first()
                if row is not None and not self._ended.is_set():
                    self._show(row)
                pause_s = _EVERY_S
        except Exception as error:  # noqa: BLE001 - whoever watches misses it, the job does not
            if not self._ended.is_set():
                logger.info("How far it has got is not known: %s", str(error).strip())

    def _show(self, row: Any) -> None:
        if self._adds_rows:
            self.count_rows(row.done)
        else:
            self._meter.show(row.done, row.total, row.unit)


@contextmanager
def watched(target: "Session | Connection", *, adds_rows: bool = False) -> Iterator[Watch | None]:
    """Show how far the statements in the block have got, where the server says so.

    With `adds_rows` the rows of a COPY are added to those that the job has counted.
    """
    connection = connection_of(target)
    options = connection.get_execution_options()
    if CONNECTION not in options:
        yield None
        return
    pid = int(execute(connection, packaged_sql("backend_pid")).scalar_one())
    watch = Watch(options[CONNECTION], pid, adds_rows=adds_rows)
    watch.begin()
    try:
        yield watch
    finally:
        watch.end()
