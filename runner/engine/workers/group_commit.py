"""Short jobs of one child share commits; see `Batch` for which and why."""

import logging
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.outcome import Handled, Raised
from headrace.engine.workers.attempt_outcome import Ending
from headrace.engine.workers.batch import LONGEST_S, Batch
from headrace.engine.workers.child_lifetime import Life
from headrace.errors import StoreUnavailable
from headrace.queue.consumer import Taken, Taker
from headrace.queue.shared_memory import Slot
from headrace.store.attempts import Claimed
from headrace.store.crash_points import crash_point

log = logging.getLogger("headrace.worker")


class Sharing:
    """Runs the batches of one child."""

    def __init__(
        self,
        executor: Executor,
        taker: Taker,
        slot: Slot,
        life: Life,
        ending: Ending,
        *,
        most: int,
    ) -> None:
        self._executor = executor
        self._store = executor.store
        self._taker = taker
        self._slot = slot
        self._life = life
        self._ending = ending
        self._settling = False
        # The line over which all of the batch was claimed.
        self._line = 0
        self.batch = Batch(most)
        ending.others = self.batch.take_all
        executor.sessions.before_use = self._settle

    def begin(self) -> None:
        """From now on a job that takes long does not hold up the batch."""
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.siginterrupt(signal.SIGALRM, False)

    def handle(self, claimed: Claimed) -> Handled | Raised:
        """Run a job, and learn how long its like take."""
        began = time.perf_counter()
        with self._watched(), self._life.at_work():
            handled = self._executor.handle(claimed)
        plain = isinstance(handled, Handled) and handled.plain
        self.batch.learn(claimed.job_class, time.perf_counter() - began, plain=plain)
        return handled

    def joins(self, claimed: Claimed, handled: Handled) -> bool:
        """Put a job that has ended into the batch, where it is one that may share a commit."""
        if not handled.plain or not self.batch.is_short(claimed.job_class):
            return False
        if not self.batch:
            self._line = self._store.line
        self.batch.ended.append((claimed, handled))
        if len(self.batch.ended) > 1:
            crash_point("in-batch")
        return True

    def go_on(self) -> Claimed | None:
        """Return the batch's next job; after its last one close it and begin the next batch."""
        if not self.batch:
            return None
        if self.batch.ahead and not self._life.ended:
            return self.batch.ahead.popleft()
        server = self._store.server_since
        self._slot.completing()
        try:
            self._close()
        except StoreUnavailable:
            ended = [claimed for claimed, _ in self.batch.take_ended()]
            self._ending.recover(ended, server)
        if self.batch.ahead:
            return self.batch.ahead.popleft()
        self._slot.idle()
        return None

    # -- closing ----------------------------------------------------------------------

    def _close(self) -> None:
        self._same_line()
        self._ending.give_back(self.batch.take_ahead())
        taken = self._ending.take_more(self._life.room(self.batch.room, at_work=0))
        if taken:
            messages = [(UUID(job_id), number) for job_id, number, _ in taken]
            self._slot.holding([*self.batch.messages(), *messages])
            crash_point("taken-ahead")
        if len(self.batch.ended) == 1 and not taken:
            self._complete_each()
            return
        try:
            with self._ending.put_back_on_failure(taken):
                self._complete(taken)
        except StoreUnavailable:
            raise
        except Exception as error:
            if self._store.broken(error):
                raise StoreUnavailable(str(error)) from error
            log.debug("a batch could not be completed at once: %s", error)
            self._complete_each()

    def _complete_each(self) -> None:
        # One by one: should the line break, all that is left is recovered at once.
        while self.batch.ended:
            claimed, handled = self.batch.ended.pop(0)
            self._ending.guard(claimed, partial(self._ending.succeed, claimed, handled, take=False))
            self._taker.done(_message(claimed))

    def _complete(self, taken: Sequence[Taken]) -> None:
        """Complete what has ended, and claim what was taken, which is `ahead` from then on."""
        ended = self.batch.in_order()
        completed, claimed = self._store.complete_batch(
            [(one, handled.result) for one, handled in ended],
            [(job_id, number) for job_id, number, _ in taken],
            self.batch.short,
        )
        self.batch.ended.clear()
        self.batch.ahead.extend(claimed)
        crash_point("after-commit")
        if taken:
            self._sort_out(taken, claimed)
        for one, _ in ended:
            self._taker.done(_message(one))
            if one.id not in completed.ids:
                log.warning("attempt %s of job %s is over", one.attempt, one.id)
        closed = [one for one, _ in ended if one.id in completed.ids]
        self._taker.send(
            self._executor.progress.release_dependants([one.id for one in closed], completed)
        )
        # A run of which a job is at hand has not ended: that one will look.
        going_on = {one.run_id for one in claimed}
        ends = [one.run_id for one in closed if not one.dependents and one.run_id not in going_on]
        self._taker.send(self._executor.progress.finish_runs(ends))

    def _sort_out(self, taken: Sequence[Taken], claimed: Sequence[Claimed]) -> None:
        """Put back messages whose jobs were left to others; drop the first if it is an old one.

        An old one among the others is the first, at the latest, when it comes again.
        """
        ours = {str(one.id) for one in claimed}
        first, *others = taken
        if first[0] not in ours:
            self._taker.done(f"{first[0]}_{first[1]}")
        left = [one for one in others if one[0] not in ours]
        self.batch.taken(len(taken), left=len(left))
        if left:
            self._taker.give_back(left)

    # -- a job that takes long --------------------------------------------------------

    @contextmanager
    def _watched(self) -> Iterator[None]:
        if not self.batch:
            yield
            return
        signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _on_alarm(self, _signal: int, _frame: Any) -> None:
        self._settle()

    def _settle(self) -> None:
        """Close what has ended and give back what has not begun: the job at hand takes long.

        Called from a signal handler in the middle of a job, and before a job's first session:
        from then on the line belongs to the job's transaction.
        """
        if self._settling or not self.batch or self._executor.sessions.used:
            return
        self._settling = True
        try:
            self._same_line()
            if self.batch.ended:
                self._complete([])
            self._ending.give_back(self.batch.take_ahead())
            self._taker.flush()
        except Exception as error:  # noqa: BLE001 - it must not come out in the job's own code
            # What is still in hand is dealt with after the job.
            log.debug("the outcome of a batch could not be determined: %s", error)
        finally:
            self._settling = False

    def _same_line(self) -> None:
        """Refuse to complete over another line than the claims': see `AttemptStore`."""
        if self._store.line != self._line:
            raise StoreUnavailable("the connection to the control database was lost")


def _message(claimed: Claimed) -> str:
    return f"{claimed.id}_{claimed.attempt - 1}"
