"""The life of a worker's child: take, claim, execute, and so on until it is replaced."""

import logging
import resource
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from runner.engine.executor import Executor, Handled, Raised, raised
from runner.engine.gate import CRASH_BUDGET, after_loss
from runner.engine.outage import Outage
from runner.errors import HeadraceError, QueueUnavailable, StaleAttempt, StoreUnavailable
from runner.queue.message import Message
from runner.queue.slots import Slot
from runner.queue.taker import Taken, Taker
from runner.store.attempts import Claimed, Completed
from runner.store.connect import transient
from runner.store.faults import crash_point

log = logging.getLogger("headrace.worker")

# How many jobs go by before it is tried again to take the next message ahead of time.
_LONGEST_ABSTENTION = 64


class _Stop(BaseException):
    """Raised by the signal handler where nothing is at hand."""


class ChildLoop:
    """Takes and executes jobs until it is asked to stop or has done `max_jobs`."""

    def __init__(
        self,
        executor: Executor,
        taker: Taker,
        slot: Slot,
        *,
        max_jobs: int = 0,
        max_memory_bytes: int = 0,
    ) -> None:
        self._executor = executor
        self._store = executor.store
        self._taker = taker
        self._slot = slot
        self._max_jobs = max_jobs
        self._max_memory_bytes = max_memory_bytes
        self._jobs = 0
        self._stopping = False
        self._waiting = False
        self._outage = Outage(log, first_pause_s=0.05)
        self._abstain, self._abstention = 0, 1

    def run(self) -> None:
        """Live. Returns when the child has to end."""
        signal.signal(signal.SIGTERM, self._on_stop)
        try:
            while not self._ended():
                try:
                    self._turn()
                    self._outage.over()
                except (StoreUnavailable, QueueUnavailable) as error:
                    self._sleep(self._outage.pause_s(error))
        except _Stop:
            pass
        finally:
            with suppress(HeadraceError):
                self._taker.flush()
            self._taker.close()
            self._store.drop()

    # -- one turn ---------------------------------------------------------------------

    def _turn(self) -> None:
        self._connect()
        taken = self._take()
        if taken is None:
            return
        claimed = self._claim(taken)
        while claimed is not None:
            claimed = self._execute(claimed)

    def _connect(self) -> None:
        if self._store.lost:
            self._slot.connected(self._store.raw.info.backend_pid)

    def _take(self) -> Taken | None:
        while self._suspended():
            self._taker.flush()
            self._sleep(1.0)
        self._waiting = True
        try:
            # A signal that came before the flag was set has left its own.
            self._stop_here()
            taken = self._taker.take(block=True)
        finally:
            self._waiting = False
        if taken is not None:
            self._slot.taken(taken[0], taken[1])
            crash_point("taken")
            if self._suspended():
                self._taker.give_back(f"{taken[0]}_{taken[1]}", taken[2])
                self._slot.idle(finished=False)
                return None
        return taken

    def _suspended(self) -> bool:
        return self._slot.suspended

    def _claim(self, taken: Taken) -> Claimed | None:
        """Claim what was taken. Through an outage the message stays in hand, not on its way."""
        while True:
            try:
                claimed = self._store.claim(taken[0], taken[1])
                break
            except StoreUnavailable as error:
                try:
                    self._sleep(self._outage.pause_s(error))
                except _Stop:
                    self._taker.give_back(f"{taken[0]}_{taken[1]}", taken[2])
                    raise
        if claimed is None:
            self._taker.done(f"{taken[0]}_{taken[1]}")
            self._slot.idle(finished=False)
        return claimed

    def _execute(self, claimed: Claimed) -> Claimed | None:
        """Execute one attempt; returns the next one where it was claimed on the way."""
        self._running(claimed)
        server = self._store.server_since
        crash_point("claimed")
        following: Claimed | None = None
        try:
            handled = self._executor.handle(claimed)
            if isinstance(handled, Raised):
                self._executor.sessions.roll_back()
                self._taker.send(self._executor.fail(claimed, handled))
                log.warning("job %s %s failed: %s", claimed.id, claimed.job_class, handled.error)
                self._taker.send(self._executor.close_run(claimed))
            else:
                following = self._succeed(claimed, handled)
        except StaleAttempt as error:
            self._executor.sessions.roll_back()
            log.warning("%s; its effect was rolled back", error)
        except StoreUnavailable:
            self._executor.sessions.roll_back()
            self._recover(claimed, "the connection to the control database was lost", server)
        except Exception as error:
            # No error of the job's own comes here. The attempt must not be left hanging.
            log.exception("job %s could not be brought to its end", claimed.id)
            self._executor.sessions.roll_back()
            self._store.drop()
            self._recover(claimed, f"the worker failed: {error}", server)
        finally:
            self._finished(claimed, following)
        return following

    def _running(self, claimed: Claimed) -> None:
        self._slot.running(claimed.id, claimed.attempt, time.monotonic() + claimed.timeout_s)

    def _succeed(self, claimed: Claimed, handled: Handled) -> Claimed | None:
        self._slot.completing()
        try:
            completed, following = self._complete(claimed, handled)
        except (StaleAttempt, StoreUnavailable):
            raise
        except Exception as error:
            if self._store.broken(error):
                raise StoreUnavailable(str(error)) from error
            self._refused(claimed, error)
            return None
        self._taker.send(self._executor.settle(claimed, completed))
        if not claimed.dependents or claimed.pool is not None:
            self._taker.send(self._executor.close_run(claimed))
        log.debug("job %s %s completed", claimed.id, claimed.job_class)
        return following

    def _complete(self, claimed: Claimed, handled: Handled) -> tuple[Completed, Claimed | None]:
        if not self._executor.sessions.used and self._may_take_ahead():
            return self._complete_and_take(claimed, handled)
        return self._executor.complete(claimed, handled), None

    def _refused(self, claimed: Claimed, error: Exception) -> None:
        """The completion itself was refused: by a deferred constraint, a result that is no JSON."""
        self._executor.sessions.roll_back()
        if transient(error):
            # Undone for another transaction's sake: the job has done nothing wrong.
            self._give_back(claimed)
            return
        self._taker.send(self._executor.fail(claimed, raised(error)))
        self._taker.send(self._executor.close_run(claimed))

    def _give_back(self, claimed: Claimed) -> None:
        self._store.rows(
            "lose_attempts",
            attempts=_pairs(claimed),
            outcome="released",
            error="",
            crash_budget=CRASH_BUDGET,
        )
        self._taker.send([_again(claimed)])

    def _may_take_ahead(self) -> bool:
        if self._stopping or self._slot.suspended or self._last_one():
            return False
        self._abstain -= 1
        return self._abstain <= 0

    def _complete_and_take(
        self, claimed: Claimed, handled: Handled
    ) -> tuple[Completed, Claimed | None]:
        """Under load: take the next message first, then end one job and start the next at once."""
        try:
            taken = self._taker.take(block=False)
        except QueueUnavailable:
            taken = None
        if taken is None:
            # Nothing waits: asking again after each job would cost a round trip for nothing.
            self._abstention = min(self._abstention * 2, _LONGEST_ABSTENTION)
            self._abstain = self._abstention
            return self._executor.complete(claimed, handled), None
        self._abstention = 1
        crash_point("taken-ahead")
        try:
            completed, following = self._store.complete_and_claim(
                claimed, handled.result, taken[0], taken[1], self._executor.log_lines()
            )
        except BaseException:
            with suppress(QueueUnavailable):
                self._taker.give_back(f"{taken[0]}_{taken[1]}", taken[2])
            raise
        crash_point("after-commit")
        if following is None:
            self._taker.done(f"{taken[0]}_{taken[1]}")
        if completed is None:
            # The next one is ours all the same; the slot says so before anything is raised.
            if following is not None:
                self._give_back(following)
            raise StaleAttempt(f"attempt {claimed.attempt} of job {claimed.id} is over")
        return completed, following

    def _finished(self, claimed: Claimed, following: Claimed | None) -> None:
        self._jobs += 1
        self._taker.done(f"{claimed.id}_{claimed.attempt - 1}")
        if following is None:
            self._slot.idle()
        else:
            self._running(following)
        with suppress(StoreUnavailable):
            self._executor.sessions.clean()

    # -- outages ----------------------------------------------------------------------

    def _recover(self, claimed: Claimed, why: str, server: object) -> None:
        """The line broke in the middle: ask the database, when it is back, what became of it.

        What was committed is; what was not is given back. A job that breaks the line each time
        (it makes its server process crash, say) spends the crash budget; where the whole server
        was started anew since `server`, no job is to blame.
        """
        while True:
            try:
                with self._store.transaction() as tx:
                    restarted = self._store.server_since != server
                    rows = tx.rows(
                        "lose_attempts",
                        attempts=_pairs(claimed),
                        outcome="released" if restarted else "crashed",
                        error=why,
                        crash_budget=CRASH_BUDGET,
                    )
                    released = after_loss(tx, rows)
                self._taker.send(released)
                self._taker.send(self._executor.close_run(claimed))
                return
            except StoreUnavailable as error:
                self._sleep(self._outage.pause_s(error))

    # -- the end ----------------------------------------------------------------------

    def _sleep(self, seconds: float) -> None:
        self._waiting = True
        try:
            self._stop_here()
            time.sleep(seconds)
        finally:
            self._waiting = False

    def _stop_here(self) -> None:
        if self._stopping:
            raise _Stop

    def _on_stop(self, _signal: int, _frame: Any) -> None:
        self._stopping = True
        if self._waiting:
            raise _Stop

    def _last_one(self) -> bool:
        return 0 < self._max_jobs <= self._jobs + 1

    def _ended(self) -> bool:
        if self._stopping or 0 < self._max_jobs <= self._jobs:
            return True
        if not self._max_memory_bytes:
            return False
        unit = 1 if sys.platform == "darwin" else 1024
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return used > self._max_memory_bytes


def _pairs(claimed: Claimed) -> str:
    return f'[{{"id": "{claimed.id}", "attempt": {claimed.attempt}}}]'


def _again(claimed: Claimed) -> Message:
    return Message(claimed.id, claimed.attempt, claimed.queue, claimed.timeout_s)
