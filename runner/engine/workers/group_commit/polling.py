"""Looks, in a worker's parent, for children whose running job holds up the rest of its batch."""

import mmap
import time
from collections.abc import Sequence

from headrace.engine.workers.group_commit.shared_batch import PendingBatch, SharedBatch
from headrace.queue.process import runnable_ns

# If a job takes longer, the parent completes or requeues the others of its batch.
LONGEST_S = 0.02
# However little it has had a processor meanwhile, on a busy machine.
_LONGEST_WAIT_S = 0.2
# The part of that time in which a job that computes has had a processor, at least.
_SHARE = 0.5
# For how long after the last job the parent looks that often, without being woken.
_POLL_FOR_S = 1.0
# Before the parent looks again at what the child was about to withdraw.
_SOON_S = 0.001


class SharedBatches:
    """The batches of all children of one worker. Make it before the first fork."""

    def __init__(self, count: int) -> None:
        self._polled = mmap.mmap(-1, 1)
        self._batches = [SharedBatch(self._polled) for _ in range(count)]
        # The job that each was last seen in, by its beginning, with its processor time then.
        self._seen = [(0.0, 0)] * count
        self._poll_until = 0.0

    def __getitem__(self, index: int) -> SharedBatch:
        return self._batches[index]

    def collect_due(self) -> tuple[list[PendingBatch], float | None]:
        """Collect the batches of children whose running jobs take long.

        Returns them, and in how many seconds to look again: None if a child wakes the parent
        before there is anything to see.
        """
        now = time.monotonic()
        collected: list[PendingBatch] = []
        waits: list[float] = []
        for index, batch in enumerate(self._batches):
            began = batch.began()
            if began is None:
                continue
            self._poll_until = now + _POLL_FOR_S
            due_in_s = began + LONGEST_S - now
            if due_in_s > 0 or self._lacks_processor(index, began, now):
                waits.append(due_in_s if due_in_s > 0 else LONGEST_S)
            elif (pending := batch.collect(began)) is not None:
                collected.append(pending)
            else:
                waits.append(_SOON_S)
        return collected, self._look_again_in_s(waits, now)

    def _lacks_processor(self, index: int, began: float, now: float) -> bool:
        """Whether a child's job may have taken that long for want of a processor alone.

        It is short all the same; without this a busy machine would undo every batch.
        """
        used_ns = runnable_ns(self._batches[index].pid)
        if used_ns is None or now - began > _LONGEST_WAIT_S:
            return False
        seen_in, used_before_ns = self._seen[index]
        if seen_in != began:
            self._seen[index] = (began, used_ns)
            return True
        return used_ns - used_before_ns < _SHARE * LONGEST_S * 1e9

    def _look_again_in_s(self, waits: Sequence[float], now: float) -> float | None:
        if now < self._poll_until:
            self._polled[0] = 1
            return min([LONGEST_S, *waits])
        self._polled[0] = 0
        # One that was published just before has woken nobody.
        published = any(batch.began() is not None for batch in self._batches)
        return LONGEST_S if published else None
