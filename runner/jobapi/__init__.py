"""The narrow door between jobs and Headrace: what a job class may import.

A job learns here which attempt it is, gets its sessions, and dispatches other jobs. Nothing
here imports the engine: a worker hands its side over when it starts, and a program of the
user's own that calls `MyJob.dispatch(...)` gets it at the first call.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, JobFailure, JobStopped
from headrace.jobapi.attempt_sessions import Sessions, Statements
from headrace.jobapi.dispatch_options import DispatchOptions
from headrace.jobapi.dispatching import (
    dispatch,
    dispatch_many,
    dispatching_by,
    use_dispatcher,
)
from headrace.jobapi.folders import Folders
from headrace.jobapi.other_database import Answer, OtherDatabase
from headrace.jobapi.permissions import Permissions
from headrace.jobapi.progress import Meter
from headrace.model.connection import Kind
from headrace.observe import redaction
from headrace.observe.line_assembly import Linewise
from headrace.queue.process_tree import Strays, adopting_orphans

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


logger = logging.getLogger("headrace.job")

Say = Callable[[Sequence[bytes]], None]
"""Takes lines as a program has written them, without their ends."""


def _log_each(lines: Sequence[bytes]) -> None:
    for line in lines:
        logger.info("%s", line.decode("utf-8", "replace"))


@contextmanager
def _no_notices() -> Iterator[list[str]]:
    yield []


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt that runs in this process.

    `folders` tell where a path of the pipeline is looked up and where files are written;
    `project` is the folder of the configuration. `authored` means that a pipeline file says what
    the job is called with; then `${NAME}` may name variables. `say` puts lines into the log,
    thousands as fast as one. `meter` tells people how far the job has got.
    """

    job_id: str
    attempt: int
    project: Path
    folders: Folders
    sessions: Sessions
    pipeline: str | None = None
    step: str | None = None
    run_id: str | None = None
    logical_date: datetime | None = None
    permissions: Permissions = field(default_factory=Permissions)
    say: Say = field(default=_log_each)
    notices: Callable[[], AbstractContextManager[list[str]]] = field(default=_no_notices)
    authored: bool = True
    meter: Meter = field(default_factory=Meter)

    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> "AbstractContextManager[Session]":
        """Return a session whose work commits together with the job's completion.

        On a connection other than the control database the work is entered in
        `headrace.ledger` there, so that it is applied once; `read_only` leaves no entry.
        """
        return self.sessions.session(connection, read_only=read_only)

    def statements(self, connection: str | None = None) -> AbstractContextManager[Statements]:
        """Return a block of that transaction whose statements go to the driver as they are."""
        return self.sessions.statements(connection)

    def autocommit(
        self, connection: str | None = None, *, patient: bool = False
    ) -> "AbstractContextManager[Connection]":
        """Return a connection on which every statement commits by itself.

        With `patient` it waits for locks without an end where nobody has said otherwise: for
        statements whose wait holds up nobody, CONCURRENTLY ones.
        """
        return self.sessions.autocommit(connection, patient=patient)

    def aside(self, connection: str | None = None) -> "AbstractContextManager[Session]":
        """Return a session in a transaction of its own, committed at the end of its block.

        For what has to outlive a job that fails: write it with the job's id and the attempt's
        number, so that a retry can replace it. The session sees nothing of the job's own
        transaction.
        """
        return self.sessions.aside(connection)

    def batch(
        self, label: str, connection: str | None = None
    ) -> "AbstractContextManager[Session | None]":
        """Return a session whose work is committed at the end of its block, once for each label.

        For a job whose work is done in parts. None is given where an earlier attempt has committed
        the part. An attempt that is over cannot commit any: it is stopped.
        """
        return self.sessions.batch(label, connection)

    def kind_of(self, connection: str | None) -> Kind:
        """Return what kind of database a connection leads to; `postgresql` is the usual one."""
        return "postgresql" if connection is None else self.sessions.kind_of(connection)

    def other(
        self, connection: str, *, read_only: bool = False
    ) -> AbstractContextManager[OtherDatabase]:
        """Return a database that is not PostgreSQL, in a transaction as `session` has it."""
        return self.sessions.other(connection, read_only=read_only)

    def other_alone(self, connection: str) -> AbstractContextManager[OtherDatabase]:
        """Return one on which every statement commits by itself."""
        return self.sessions.other_alone(connection)

    def snapshot(
        self, connection: str | None = None, exported: str | None = None
    ) -> "AbstractContextManager[Session]":
        """Return a session that only reads, all in one snapshot: `exported`, or one of its own."""
        return self.sessions.snapshot(connection, exported)

    def resolve_path(self, relative: str) -> Path:
        """Return what `relative` names for reading, links resolved.

        Where it is missing, its place in the first of the folders.

        Raises:
            JobFailure: The path leaves the folders of the pipeline and the output folders.
        """
        return self.folders.look_up(relative)

    def find_file(self, relative: str) -> Path:
        """Return the file that `relative` names for reading, links resolved.

        Raises:
            JobFailure: There is none, or the path leaves the folders as above.
        """
        return self.folders.find(relative)

    def output_path(self, relative: str) -> Path:
        """Return where to write the file `relative`: below the first output folder.

        Raises:
            JobFailure: The path leaves the output folders.
        """
        return self.folders.to_write(relative)


def reveal(text: str) -> str:
    """Return a text with each `${NAME}` replaced by that variable of the worker's environment.

    The values are shown as `***` from now on in whatever this job says.

    Raises:
        JobFailure: A variable is not set, is Headrace's own or the settings', or is named by
            whoever dispatched the job and not by a pipeline file.
    """
    attempt = _current.get()
    if attempt is not None and not attempt.authored and names_secret(text):
        raise JobFailure(redaction.NOT_AUTHORED)
    return redaction.reveal(text)


def hide(value: str) -> None:
    """Have a value that the job was given, a token say, shown as `***` in whatever it says."""
    redaction.hide(value)


def redacted(text: str) -> str:
    """Return a text without what `reveal` and the step's `env` have read: for what is cut."""
    return redaction.redacted(text)


def names_secret(text: str) -> bool:
    """Return whether a text names a variable as `${NAME}`."""
    return bool(redaction.referred(text))


def environment_for_programs() -> dict[str, str]:
    """Return the environment for a program that a job starts: all but Headrace's own variables."""
    return {
        name: value for name, value in os.environ.items() if redaction.why_not_read(name) is None
    }


def notices_heard() -> "AbstractContextManager[list[str]]":
    """Yield a list that gets what the servers say in the block: `WARNING:  text`, say."""
    return current().notices()


def meter() -> Meter:
    """Return what counts the progress of the job at hand; one that nobody reads where none is."""
    attempt = _current.get()
    return Meter() if attempt is None else attempt.meter


_current: ContextVar[Attempt | None] = ContextVar("headrace_attempt", default=None)


def current() -> Attempt:
    """Return the attempt that runs.

    Raises:
        JobFailure: No job is running in this process.
    """
    attempt = _current.get()
    if attempt is None:
        raise JobFailure("no job is running here: sessions exist only inside handle()")
    return attempt


def enter(attempt: Attempt | None) -> None:
    """Say which attempt runs from now on; for workers."""
    _current.set(attempt)


__all__ = [
    "Answer",
    "Attempt",
    "DispatchOptions",
    "HeadraceError",
    "JobFailure",
    "JobStopped",
    "Kind",
    "Linewise",
    "OtherDatabase",
    "Permissions",
    "Statements",
    "Strays",
    "adopting_orphans",
    "current",
    "dispatch",
    "dispatch_many",
    "dispatching_by",
    "enter",
    "environment_for_programs",
    "hide",
    "logger",
    "meter",
    "names_secret",
    "notices_heard",
    "redacted",
    "reveal",
    "use_dispatcher",
]
