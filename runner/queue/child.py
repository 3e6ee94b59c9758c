"""Forking a worker's child, and knowing it from outside."""

import logging
import math
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from headrace.queue.process import die_with_parent
from headrace.queue.process_tree import adopt_orphans
from headrace.queue.shared_memory import ChildRecords
from headrace.queue.traces import Traces
from headrace.queue.worker_callbacks import Ended, WorkerHooks


@dataclass(frozen=True, slots=True)
class Patience:
    """How long jobs may go on once their worker stops; and one that has to end may tidy up.

    In seconds.
    """

    grace_s: float = 10.0
    kill_after_s: float = 5.0


@dataclass
class Child:
    """A running child. `ending` is set once the parent has decided its end.

    `kill_at`: the moment until which it may tidy up, by the monotonic clock.
    """

    index: int
    pid: int
    born: float = field(default_factory=time.monotonic)
    ending: Ended | None = None
    kill_at: float = math.inf

    def poll(self) -> int | None:
        """Return the exit code (a signal's negative), None while it runs."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return 0
        return None if pid == 0 else os.waitstatus_to_exitcode(status)

    @property
    def is_ending(self) -> bool:
        """Whether it has been told to end at once."""
        return self.kill_at < math.inf

    def tell_to_end(self, within_s: float) -> None:
        """Ask it and its group to end in the middle of the job; it may tidy up for a while."""
        self.kill_at = time.monotonic() + within_s
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGTERM)

    def ask_to_stop(self) -> None:
        """Ask it to end after its present job."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


def spawn(
    index: int,
    records: ChildRecords,
    traces: Traces,
    hooks: WorkerHooks,
    forget_parent: Callable[[], None],
) -> Child:
    """Fork one child. In the child this does not return."""
    parent_pid = os.getpid()
    hooks.about_to_fork(index)
    pid = os.fork()
    if pid == 0:
        # Whatever happens in here must never run the parent's code, its clean-up included.
        code = 1
        try:
            os.setpgid(0, 0)
            die_with_parent(parent_pid)
            # What a job has orphaned stays below its own process, and ends with that one.
            adopt_orphans()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            forget_parent()
            traces.listen(index)
            hooks.run_child(records.record(index))
            code = 0
        except BaseException:
            logging.getLogger("headrace.worker").exception("a worker process failed")
        finally:
            os._exit(code)
    with suppress(OSError):
        # In both, so that the group exists whoever comes first.
        os.setpgid(pid, pid)
    hooks.forked(index)
    return Child(index, pid)
