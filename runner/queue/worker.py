"""The warm worker: an RQ worker to the outside, whose children live longer than one job.

The parent runs no job and takes no message. It watches: children that die, attempts that
pass their deadline or are no longer theirs, commands that arrive over RQ's channel. It
outlives Redis and PostgreSQL: what it cannot report now it reports later, and while it waits
for PostgreSQL it goes on watching. Imported by `private_rq.py` only, which sees to RQ's prefix.
"""

import gc
import logging
import math
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from rq.command import handle_command
from rq.defaults import RQ_KEY_PREFIX

from headrace.queue.child import Patience
from headrace.queue.children import Children
from headrace.queue.process_tree import adopting_orphans
from headrace.queue.registered_worker import RegisteredWorker
from headrace.queue.shared_memory import AT_WORK, RUNNING, ChildRecords
from headrace.queue.worker_callbacks import Ended, WorkerHooks

# Whose keys RQ uses here; see `private_rq.py`.
KEY_PREFIX = RQ_KEY_PREFIX

_WAKE_S = 1.0
_HEARTBEAT_S = 3.0
# While the worker looks for what a dead child has left behind.
_ALERT_HEARTBEAT_S = 0.4
_GIVE_UP_S = 5.0
# Between two looks for what a dead child has left behind, until nothing is there.
_STRAYS_S = 0.2

log = logging.getLogger("headrace.worker")


class WarmWorker(RegisteredWorker):
    """Parent of `processes` children that each take, claim, handle and complete.

    RQ gives what `RegisteredWorker` says, and the commands shutdown, kill-horse and stop-job; its
    retries, registries and results are not used.
    """

    def __init__(
        self,
        queues: Sequence[str],
        *,
        name: str,
        connection: Any,
        hooks: WorkerHooks,
        processes: int = 1,
        patience: Patience | None = None,
        max_memory_bytes: int = 0,
        after_fork: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(queues, name=name, connection=connection)
        self._hooks = hooks
        self._records = ChildRecords(processes)
        self._patience = patience or Patience()
        self._children = Children(
            self._records,
            hooks,
            self._patience,
            self._forget_parent,
            max_memory_bytes=max_memory_bytes,
        )
        self._next_lines: float | None = None
        self._after_fork = after_fork
        # Called in each turn of the loop, however long the servers are away.
        self.turns: Callable[[], None] = lambda: None
        self._drain_until: float | None = None
        self._give_up_at = math.inf
        self._next_heartbeat = 0.0

    # -- the loop ---------------------------------------------------------------------

    @adopting_orphans()
    def work(self, *_args: Any, **_options: Any) -> bool:
        """Run until a signal asks to stop. Returns whether any job was finished."""
        self.pid = os.getpid()
        wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._records.wake_pipe = self._wake_writer
        self._install_signal_handlers()
        self._children.begin()
        self._hooks.while_waiting(self._look)
        selector = selectors.DefaultSelector()
        selector.register(wake_reader, selectors.EVENT_READ)
        # Known before its children start anything: the daemon takes back what unknown ones do.
        self._hooks.heartbeat("running", [])
        # What is there now is shared with the children, for whom it need never be collected.
        gc.collect()
        gc.freeze()
        self._children.spawn_missing()
        try:
            while not self._finished():
                self._wait(selector, wake_reader)
                self._turn()
        finally:
            self._end()
            selector.close()
            os.close(wake_reader)
            os.close(self._wake_writer)
        return self._children.finished_any

    def _wait(self, selector: selectors.BaseSelector, wake_reader: int) -> None:
        """Wait for the next turn; in between, look at the children's results more often."""
        until = time.monotonic() + self._pause()
        while True:
            look_in_s = self._hooks.record_results()
            left_s = max(0.0, until - time.monotonic())
            if selector.select(left_s if look_in_s is None else min(left_s, look_in_s)):
                woken = os.read(wake_reader, 4096)
                # A child wakes it for another look; a signal is for a turn.
                if woken.strip(b"\0"):
                    return
            if time.monotonic() >= until:
                return

    def _turn(self) -> None:
        self.turns()
        self._reap()
        self._children.kill_overdue()
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + self._heartbeat_s(now)
            self._beat()
        self._next_lines = self._keep_logs()
        self._report()
        if self._drain_until is None:
            self._children.spawn_missing()
        elif now > self._drain_until:
            self._children.end_all()

    def _look(self, _waited_s: float) -> float | None:
        """Watch from within a wait for PostgreSQL, which may take as long as its server likes.

        Only an end that has been asked for gives it up.
        """
        self.turns()
        self._reap()
        self._children.kill_overdue()
        now = time.monotonic()
        if self._drain_until is not None and now > self._drain_until:
            self._children.end_all()
        if self._finished():
            self._give_up_at = min(self._give_up_at, now + _GIVE_UP_S)
        return None if now > self._give_up_at else self._pause()

    def _heartbeat_s(self, now: float) -> float:
        """Seconds to the heartbeat after this one."""
        if now < self._children.alert_until:
            return _ALERT_HEARTBEAT_S
        return _WAKE_S if self._children.busy else _HEARTBEAT_S

    def _pause(self) -> float:
        """Seconds to wait: no longer than until the next deadline."""
        most = _ALERT_HEARTBEAT_S if time.monotonic() < self._children.alert_until else _WAKE_S
        now = time.monotonic()
        waits = [at - now for at in self._children.deadlines()]
        if self._next_lines is not None:
            waits.append(self._next_lines)
        if self._children.strays_left:
            most = _STRAYS_S
        return max(0.01, min([most, *waits]))

    def _finished(self) -> bool:
        return self._drain_until is not None and not self._children

    def _reap(self) -> None:
        if self._children.reap():
            self._next_heartbeat = 0.0

    def _forget_parent(self) -> None:
        """In the child: the parent's connections are not the child's to use or to close."""
        signal.set_wakeup_fd(-1)
        self.connection.connection_pool.reset()
        self._after_fork()

    # -- what others must know --------------------------------------------------------

    def _keep_logs(self) -> float | None:
        running = [
            (child.index, view.job_id, view.attempt)
            for child, view in self._children.each()
            if view.state == RUNNING
        ]
        return self._hooks.keep_logs(running)

    def _report(self) -> None:
        while self._children.backends:
            self._hooks.end_backend(self._children.backends.pop(0))
        # More may be added meanwhile: see `_look`.
        reported = list(self._children.unreported)
        if reported and self._hooks.ended(reported):
            del self._children.unreported[: len(reported)]

    def _beat(self) -> None:
        """Say in PostgreSQL and Redis that this worker lives; learn what it has lost."""
        running = {
            (str(view.job_id), view.attempt): child
            for child, view in self._children.each()
            if view.state in AT_WORK
        }
        lost = self._hooks.heartbeat(
            "running" if self._drain_until is None else "draining", list(running)
        )
        for key, cancelled in lost.items():
            child = running[key]
            view = self._records.read(child.index)
            if (str(view.job_id), view.attempt) == key and view.state == RUNNING:
                if child.is_ending:
                    continue
                log.warning("job %s no longer belongs to this worker; stopping its process", key[0])
                # Somebody else may have begun with a job that was not cancelled.
                end = self._children.stop if cancelled else self._children.kill
                end(child, Ended.taken_away(view))
        self._beat_redis()

    def _beat_redis(self) -> None:
        suspended, commands = self.announce(busy=self._children.busy)
        if suspended is not None:
            self._records.suspended = suspended
        for payload in commands:
            self._obey(payload)

    def _obey(self, payload: dict[str, Any]) -> None:
        """Carry out what has come over RQ's channel."""
        command = payload.get("command")
        if command == "stop-job":
            self._stop_job(str(payload.get("job_id", "")))
        elif command == "kill-horse":
            for child, view in self._children.each():
                if view.state == RUNNING:
                    self._children.kill(child, None)
        elif command == "shutdown":
            handle_command(self, payload)

    def _stop_job(self, message_id: str) -> None:
        for child, view in self._children.each():
            # The message bears the number before the claim, the running attempt the one after.
            own = f"{view.job_id}_{view.attempt - 1}"
            if view.state == RUNNING and message_id == own and not child.is_ending:
                self._children.stop(child, Ended.stopped(view))

    # -- the end ----------------------------------------------------------------------

    def _install_signal_handlers(self) -> None:
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _on_stop(self, _signal: int, _frame: Any) -> None:
        if self._drain_until is None:
            log.info("shutting down: waiting up to %g s for running jobs", self._patience.grace_s)
            self._drain_until = time.monotonic() + self._patience.grace_s
            # Beside the signal, which a job may have blocked.
            self._records.draining = True
            self._children.ask_to_stop()
        else:
            # The second time nothing waits for anything.
            self._drain_until = 0.0
            self._children.wait_no_more()

    def _end(self) -> None:
        if sys.exc_info()[0] is not None:
            self._children.wait_no_more()
            self._children.end_all()
        self._give_up_at = min(self._give_up_at, time.monotonic() + _GIVE_UP_S)
        while (
            self._children or self._children.strays_left
        ) and time.monotonic() < self._give_up_at:
            self._reap()
            self._children.kill_overdue()
            time.sleep(0.01)
        while (
            self._children.unreported or self._children.backends
        ) and time.monotonic() < self._give_up_at:
            self._report()
            if self._children.unreported:
                time.sleep(0.2)
        self._hooks.stopped()
        self.unregister()
