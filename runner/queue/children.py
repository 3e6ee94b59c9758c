"""Forks, watches, stops and reaps the children of one worker."""

import time
from collections.abc import Callable, Iterator

from headrace.queue.child import Child, Patience, spawn
from headrace.queue.process import kill_group, kill_tree, resident_bytes
from headrace.queue.process_tree import Strays
from headrace.queue.shared_memory import AT_WORK, IDLE, Slots, SlotView
from headrace.queue.traces import Traces
from headrace.queue.worker_callbacks import Ended, WorkerHooks

# Before one that could not even start is forked again, or the database asked again.
_AGAIN_S = 1.0
# A dead child may have left more behind than its slot tells: for a while it is looked for.
_ALERT_S = 2.0


class Children:
    """The children that live, and what those that have ended leave to be told.

    `unreported` are attempts that their children did not end, `backends` the processes at the
    control database of children that were killed. `strays_left` says that something that a dead
    child's job has started is still there.
    """

    def __init__(
        self,
        slots: Slots,
        hooks: WorkerHooks,
        patience: Patience,
        forget_parent: Callable[[], None],
        *,
        max_memory_bytes: int,
    ) -> None:
        self._slots = slots
        self._hooks = hooks
        self._traces = Traces(slots.count)
        self._forget_parent = forget_parent
        self._max_memory_bytes = max_memory_bytes
        self._kill_after_s = patience.kill_after_s
        self._by_pid: dict[int, Child] = {}
        self._strays: Strays | None = None
        self._known = False
        self._spawn_at = 0.0
        self.unreported: list[Ended] = []
        self.backends: list[int] = []
        self.strays_left = False
        self.alert_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._by_pid)

    def begin(self) -> None:
        """Take note of what is a process of this worker's before it has any child."""
        self._strays = Strays()

    def each(self) -> Iterator[tuple[Child, SlotView]]:
        """Yield every child with what it says."""
        for child in list(self._by_pid.values()):
            yield child, self._slots.read(child.index)

    @property
    def busy(self) -> bool:
        """Whether a job is at hand anywhere."""
        return any(self._slots.read(index).state in AT_WORK for index in range(self._slots.count))

    @property
    def finished_any(self) -> bool:
        """Whether any job was finished."""
        return any(self._slots.read(index).finished for index in range(self._slots.count))

    def deadlines(self) -> list[float]:
        """Return the moments at which one of them has to be looked at, by the monotonic clock."""
        views = map(self._slots.read, range(self._slots.count))
        jobs = [view.deadline for view in views if view.state in AT_WORK]
        return jobs + [child.kill_at for child in self._by_pid.values() if child.is_ending]

    # -- births and deaths ------------------------------------------------------------

    def spawn_missing(self) -> None:
        """Fork a child for each slot that has none."""
        now = time.monotonic()
        if now < self._spawn_at:
            return
        if not self._known:
            # A job that an unknown worker has claimed is taken for lost.
            self._known = self._hooks.register()
            self._spawn_at = now + _AGAIN_S
            if not self._known:
                return
            self._spawn_at = 0.0
        taken = {child.index for child in self._by_pid.values()}
        for index in sorted(set(range(self._slots.count)) - taken):
            self._slots.clear(index)
            child = spawn(index, self._slots, self._traces, self._hooks, self._forget_parent)
            self._by_pid[child.pid] = child

    def reap(self) -> bool:
        """Take leave of the children that have ended. Returns whether a signal has ended any."""
        killed = False
        for child, _ in self.each():
            status = child.poll()
            if status is None:
                continue
            del self._by_pid[child.pid]
            # What the child's job has started must not outlive it.
            kill_group(child.pid)
            view = self._slots.read(child.index)
            self._hooks.child_ended(view, child.index)
            self.unreported += _ends(child, view, status)
            killed |= status < 0
            if view.state == IDLE and status != 0 and time.monotonic() - child.born < _AGAIN_S:
                # A child that cannot even start must not be forked in a tight loop.
                self._spawn_at = time.monotonic() + _AGAIN_S
            self._slots.clear(child.index)
            self.strays_left = True
        if killed:
            self.alert_until = time.monotonic() + _ALERT_S
        if self.strays_left and self._strays is not None:
            # What it started in sessions of their own has come to this process.
            self.strays_left = self._strays.end(self._by_pid)
        return killed

    # -- ends -------------------------------------------------------------------------

    def stop(self, child: Child, ending: Ended) -> None:
        """End a child's job: it may tidy up for a while."""
        child.ending = ending
        self._slots.tell_to_end(child.index)
        child.tell_to_end(self._kill_after_s)

    def kill(self, child: Child, ending: Ended | None) -> None:
        """End a child at once."""
        child.ending = ending
        kill_tree(child.pid)
        view = self._slots.read(child.index)
        if view.backend_pid:
            self.backends.append(view.backend_pid)

    def kill_overdue(self) -> None:
        """End those whose jobs have passed their deadline, and those that have grown too large."""
        now = time.monotonic()
        for child in self._by_pid.values():
            if now > child.kill_at:
                child.kill_at = now + _AGAIN_S
                self.kill(child, child.ending)
            view = self._slots.read(child.index)
            if view.state not in AT_WORK or child.ending is not None:
                continue
            if now > view.deadline:
                trace = self._traces.ask(child.pid, child.index)
                # It may have finished while it was being asked.
                if self._slots.read(child.index) == view:
                    self.stop(child, Ended.timed_out(view, trace))
            elif 0 < self._max_memory_bytes < resident_bytes(child.pid):
                self.kill(child, Ended.too_large(view, child.pid, self._max_memory_bytes))

    def ask_to_stop(self) -> None:
        """Have each end after its present job."""
        for child in self._by_pid.values():
            child.ask_to_stop()

    def wait_no_more(self) -> None:
        """Let nobody tidy up from now on."""
        self._kill_after_s = 0.0
        for child in self._by_pid.values():
            child.kill_at = min(child.kill_at, 0.0) if child.is_ending else child.kill_at

    def end_all(self) -> None:
        """End all that still run; their jobs are given back without spending their budget."""
        for child, view in self.each():
            if child.is_ending:
                continue
            if view.state == IDLE:
                self.kill(child, None)
            else:
                self.stop(child, Ended.given_back(view))


def _ends(child: Child, view: SlotView, status: int) -> list[Ended]:
    """Return what is to be told of the attempts of a child that has ended."""
    ending = child.ending
    if ending is None:
        return [Ended.crashed(view, child.pid, status)] if view.state != IDLE else []
    if view.state == IDLE or (str(view.job_id), view.attempt) == (ending.job_id, ending.attempt):
        return [ending]
    # It had come to the end of that one, and had begun another, which is not to blame.
    return [ending, Ended.given_back(view)]
