"""The warm worker: an RQ worker to the outside, whose children live longer than one job.

The parent runs no job and takes no message. It watches: children that die, attempts that
pass their deadline or are no longer theirs, commands that arrive over RQ's channel. It
outlives Redis and PostgreSQL: what it cannot report now it reports later, and while it waits
for PostgreSQL it goes on watching. Imported by `own_rq.py` only, which sees to RQ's prefix.
"""

import gc
import logging
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError
from rq.command import handle_command
from rq.defaults import RQ_KEY_PREFIX
from rq.suspension import WORKERS_SUSPENDED
from rq.worker import Worker

from headrace.queue.child import Child, Patience, spawn
from headrace.queue.commands import command_in
from headrace.queue.connect import unavailable
from headrace.queue.process import kill_group, kill_tree, resident_bytes
from headrace.queue.process_tree import Strays, adopting_orphans
from headrace.queue.shared_memory import AT_WORK, IDLE, RUNNING, Slots, SlotView
from headrace.queue.traces import Traces
from headrace.queue.worker_callbacks import Ended, WorkerHooks

# Whose keys RQ uses here; see `own_rq.py`.
KEY_PREFIX = RQ_KEY_PREFIX

_WAKE_S = 1.0
_HEARTBEAT_S = 3.0
# A dead child may have left more behind than its slot tells: for a while it is looked for.
_ALERT_S = 2.0
_ALERT_HEARTBEAT_S = 0.4
_GIVE_UP_S = 5.0
# Between two looks for what a dead child has left behind, until nothing is there.
_STRAYS_S = 0.2

log = logging.getLogger("headrace.worker")


class WarmWorker(Worker):
    """Parent of `processes` children that each take, claim, handle and complete.

    RQ gives registration, `rq info`, suspend, and the commands shutdown, kill-horse and
    stop-job; of its retries, registries and results nothing is used.
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
        super().__init__(list(queues), name=name, connection=connection, prepare_for_work=False)
        self.hostname, self.pid, self.ip_address = socket.gethostname(), os.getpid(), "unknown"
        self._hooks = hooks
        self._slots = Slots(processes)
        self._traces = Traces(processes)
        self._children: dict[int, Child] = {}
        self._patience = patience or Patience()
        self._kill_after_s = self._patience.kill_after_s
        self._next_lines: float | None = None
        self._max_memory_bytes = max_memory_bytes
        self._after_fork = after_fork
        self._unreported: list[Ended] = []
        self._backends: list[int] = []
        self._drain_until: float | None = None
        self._give_up_at = math.inf
        self._next_heartbeat = 0.0
        self._alert_until = 0.0
        self._redis_trouble = ""
        self._registered = False
        self._known = False
        self._respawn_at = 0.0
        self._strays_left = False

    @property
    def connection_timeout(self) -> int:
        """Let the given connection's own timeout be: RQ would set minutes, for its blocking pop."""
        return 0

    # -- the loop ---------------------------------------------------------------------

    @adopting_orphans()
    def work(self, *_args: Any, **_options: Any) -> bool:
        """Run until a signal asks to stop. Returns whether any job was finished."""
        self.pid = os.getpid()
        wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._install_signal_handlers()
        self._strays = Strays()
        self._hooks.while_waiting(self._look)
        selector = selectors.DefaultSelector()
        selector.register(wake_reader, selectors.EVENT_READ)
        # Known before its children start anything: the daemon takes back what unknown ones do.
        self._hooks.heartbeat("running", [])
        # What is there now is shared with the children, for whom it need never be collected.
        gc.collect()
        gc.freeze()
        self._spawn_missing()
        try:
            while not self._finished():
                if selector.select(self._pause()):
                    os.read(wake_reader, 4096)
                self._turn()
        finally:
            self._end()
            selector.close()
            os.close(wake_reader)
            os.close(self._wake_writer)
        return any(self._slots.read(index).finished for index in range(self._slots.count))

    def _turn(self) -> None:
        self._reap()
        self._kill_overdue()
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + self._heartbeat_s(now)
            self._beat()
        self._next_lines = self._keep_logs()
        self._report()
        if self._drain_until is None:
            self._spawn_missing()
        elif now > self._drain_until:
            self._release_all()

    def _look(self, _waited_s: float) -> float | None:
        """Watch from within a wait for PostgreSQL, which may take as long as its server likes.

        Only an end that has been asked for gives it up.
        """
        self._reap()
        self._kill_overdue()
        now = time.monotonic()
        if self._drain_until is not None and now > self._drain_until:
            self._release_all()
        if self._finished():
            self._give_up_at = min(self._give_up_at, now + _GIVE_UP_S)
        return None if now > self._give_up_at else self._pause()

    def _heartbeat_s(self, now: float) -> float:
        """Seconds to the heartbeat after this one."""
        if now < self._alert_until:
            return _ALERT_HEARTBEAT_S
        return _WAKE_S if self._busy() else _HEARTBEAT_S

    def _pause(self) -> float:
        """Seconds to wait: no longer than until the next deadline."""
        most = _ALERT_HEARTBEAT_S if time.monotonic() < self._alert_until else _WAKE_S
        deadlines = [
            view.deadline - time.monotonic()
            for view in map(self._slots.read, range(self._slots.count))
            if view.state in AT_WORK
        ]
        deadlines += [
            child.kill_at - time.monotonic() for child in self._children.values() if child.is_ending
        ]
        if self._next_lines is not None:
            deadlines.append(self._next_lines)
        if self._strays_left:
            most = _STRAYS_S
        return max(0.01, min([most, *deadlines]))

    def _busy(self) -> bool:
        return any(self._slots.read(index).state in AT_WORK for index in range(self._slots.count))

    def _finished(self) -> bool:
        return self._drain_until is not None and not self._children

    # -- children ---------------------------------------------------------------------

    def _spawn_missing(self) -> None:
        now = time.monotonic()
        if now < self._respawn_at:
            return
        if not self._known:
            # A job that an unknown worker has claimed is taken for lost.
            self._known = self._hooks.register()
            self._respawn_at = now + _WAKE_S
            if not self._known:
                return
            self._respawn_at = 0.0
        taken = {child.index for child in self._children.values()}
        for index in sorted(set(range(self._slots.count)) - taken):
            self._slots.clear(index)
            child = spawn(index, self._slots, self._traces, self._hooks, self._forget_parent)
            self._children[child.pid] = child

    def _forget_parent(self) -> None:
        """In the child: the parent's connections are not the child's to use or to close."""
        signal.set_wakeup_fd(-1)
        self.connection.connection_pool.reset()
        self._after_fork()

    def _reap(self) -> None:
        for child in list(self._children.values()):
            status = child.poll()
            if status is None:
                continue
            del self._children[child.pid]
            # What the child's job has started must not outlive it.
            kill_group(child.pid)
            view = self._slots.read(child.index)
            self._hooks.child_ended(view, child.index)
            self._unreported += _ends(child, view, status)
            if status < 0:
                self._alert_until, self._next_heartbeat = time.monotonic() + _ALERT_S, 0.0
            if view.state == IDLE and status != 0 and time.monotonic() - child.born < 1.0:
                # A child that cannot even start must not be forked in a tight loop.
                self._respawn_at = time.monotonic() + 1.0
            self._slots.clear(child.index)
            self._strays_left = True
        if self._strays_left:
            # What it started in sessions of their own has come to this process.
            self._strays_left = self._strays.end(self._children)

    def _stop(self, child: Child, ending: Ended) -> None:
        """End a child's job: it may tidy up, for `kill_after` at most."""
        child.ending = ending
        self._slots.tell_to_end(child.index)
        child.tell_to_end(self._kill_after_s)

    def _kill(self, child: Child, ending: Ended | None) -> None:
        child.ending = ending
        kill_tree(child.pid)
        view = self._slots.read(child.index)
        if view.backend_pid:
            self._backends.append(view.backend_pid)

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if now > child.kill_at:
                child.kill_at = now + _WAKE_S
                self._kill(child, child.ending)
            view = self._slots.read(child.index)
            if view.state not in AT_WORK or child.ending is not None:
                continue
            if now > view.deadline:
                trace = self._traces.ask(child.pid, child.index)
                # It may have finished while it was being asked.
                if self._slots.read(child.index) == view:
                    self._stop(child, Ended.timed_out(view, trace))
            elif 0 < self._max_memory_bytes < resident_bytes(child.pid):
                self._kill(child, Ended.too_large(view, child.pid, self._max_memory_bytes))

    # -- what others must know --------------------------------------------------------

    def _keep_logs(self) -> float | None:
        running = [
            (child.index, view.job_id, view.attempt)
            for child in self._children.values()
            if (view := self._slots.read(child.index)).state == RUNNING
        ]
        return self._hooks.keep_logs(running)

    def _report(self) -> None:
        while self._backends:
            self._hooks.end_backend(self._backends.pop(0))
        # More may be added meanwhile: see `_look`.
        reported = list(self._unreported)
        if reported and self._hooks.ended(reported):
            del self._unreported[: len(reported)]

    def _beat(self) -> None:
        """Say in PostgreSQL and Redis that this worker lives; learn what it has lost."""
        running = {
            (str(view.job_id), view.attempt): child
            for child in self._children.values()
            if (view := self._slots.read(child.index)).state in AT_WORK
        }
        lost = self._hooks.heartbeat(
            "running" if self._drain_until is None else "draining", list(running)
        )
        for key, cancelled in lost.items():
            child = running[key]
            view = self._slots.read(child.index)
            if (str(view.job_id), view.attempt) == key and view.state == RUNNING:
                if child.is_ending:
                    continue
                log.warning("job %s no longer belongs to this worker; stopping its process", key[0])
                # Somebody else may have begun with a job that was not cancelled.
                (self._stop if cancelled else self._kill)(child, Ended.taken_away(view))
        self._beat_redis()

    def _beat_redis(self) -> None:
        try:
            if not self._registered or not self.connection.exists(self.key):
                self._register()
            self.heartbeat()
            self.set_state("busy" if self._busy() else "idle")
            self._slots.suspended = bool(self.connection.exists(WORKERS_SUSPENDED))
            self._obey()
        except (RedisError, OSError) as error:
            told = unavailable(error)
            if self._redis_trouble != told.reason:
                log.warning("%s; waiting for it", told)
            self._redis_trouble, self._registered = told.reason, False
            return
        if self._redis_trouble:
            log.info("Redis answers again")
        self._redis_trouble = ""

    def _register(self) -> None:
        # The key of an earlier life of this very worker is no other worker.
        self.connection.delete(self.key)
        self.register_birth()  # type: ignore[no-untyped-call]
        self.pubsub = self.connection.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self.pubsub.subscribe(self.pubsub_channel_name)
        self._registered = True

    def _obey(self) -> None:
        """Carry out what has come over RQ's channel."""
        assert self.pubsub is not None
        while (message := self.pubsub.get_message(timeout=0)) is not None:
            payload = command_in(message)
            command = payload.get("command")
            if command == "stop-job":
                self._stop_job(str(payload.get("job_id", "")))
            elif command == "kill-horse":
                for child in self._children.values():
                    if self._slots.read(child.index).state == RUNNING:
                        self._kill(child, None)
            elif command == "shutdown":
                handle_command(self, payload)

    def _stop_job(self, message_id: str) -> None:
        for child in self._children.values():
            view = self._slots.read(child.index)
            # The message bears the number before the claim, the running attempt the one after.
            own = f"{view.job_id}_{view.attempt - 1}"
            if view.state == RUNNING and message_id == own and not child.is_ending:
                self._stop(child, Ended.stopped(view))

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
            self._slots.draining = True
            for child in self._children.values():
                child.ask_to_stop()
        else:
            # The second time nothing waits for anything.
            self._drain_until = self._kill_after_s = 0.0
            for child in self._children.values():
                child.kill_at = min(child.kill_at, 0.0) if child.is_ending else child.kill_at

    def _release_all(self) -> None:
        """The grace is over: what still runs is given back without spending its budget."""
        for child in self._children.values():
            view = self._slots.read(child.index)
            if child.is_ending:
                continue
            if view.state == IDLE:
                self._kill(child, None)
            else:
                self._stop(child, Ended.released(view))

    def _end(self) -> None:
        if sys.exc_info()[0] is not None:
            self._kill_after_s = 0.0
            self._release_all()
        self._give_up_at = min(self._give_up_at, time.monotonic() + _GIVE_UP_S)
        while (self._children or self._strays_left) and time.monotonic() < self._give_up_at:
            self._reap()
            self._kill_overdue()
            time.sleep(0.01)
        while (self._unreported or self._backends) and time.monotonic() < self._give_up_at:
            self._report()
            if self._unreported:
                time.sleep(0.2)
        self._hooks.stopped()
        try:
            if self._registered:
                self.register_death()  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            log.debug("Redis was not informed of the end")


def _ends(child: Child, view: SlotView, status: int) -> list[Ended]:
    """Return what is to be told of the attempts of a child that has ended."""
    ending = child.ending
    if ending is None:
        return [Ended.crashed(view, child.pid, status)] if view.state != IDLE else []
    if view.state == IDLE or (str(view.job_id), view.attempt) == (ending.job_id, ending.attempt):
        return [ending]
    # It had come to the end of that one, and had begun another, which is not to blame.
    return [ending, Ended.released(view)]
