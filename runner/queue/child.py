"""Forking a worker's child, and knowing it from outside."""

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from runner.descent import adopt_orphans
from runner.queue.hooks import Ended, WorkerHooks
from runner.queue.process import die_with_parent
from runner.queue.slots import Slots
from runner.queue.traces import Traces


@dataclass
class Child:
    """A running child. `ending` is set once the parent has decided its end."""

    index: int
    pid: int
    born: float = field(default_factory=time.monotonic)
    ending: Ended | None = None

    def poll(self) -> int | None:
        """Return the exit code (a signal's negative), None while it runs."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return 0
        return None if pid == 0 else os.waitstatus_to_exitcode(status)

    def ask_to_stop(self) -> None:
        """Ask it to end after its present job."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


def spawn(
    index: int,
    slots: Slots,
    traces: Traces,
    hooks: WorkerHooks,
    forget_parent: Callable[[], None],
) -> Child:
    """Fork one child. In the child this does not return."""
    parent_pid = os.getpid()
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
            hooks.run_child(slots.slot(index))
            code = 0
        except BaseException:
            logging.getLogger("headrace.worker").exception("a worker process failed")
        finally:
            os._exit(code)
    with suppress(OSError):
        # In both, so that the group exists whoever comes first.
        os.setpgid(pid, pid)
    return Child(index, pid)
