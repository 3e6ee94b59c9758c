"""Ends attempts in a child: completed, failed, returned, or recovered after an outage.

Whatever goes wrong, no attempt is left hanging.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import UUID

from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.outcome import Handled, Raised, raised
from headrace.engine.gating.gate import CRASH_BUDGET, after_loss
from headrace.engine.workers.child_lifetime import Life
from headrace.engine.workers.hand_over import HandOver
from headrace.errors import QueueUnavailable, StaleAttempt, StoreUnavailable, TransactionEnded
from headrace.observe.redaction import redacted
from headrace.queue.consumer import Consumer, Taken
from headrace.queue.message import Message
from headrace.queue.shared_memory import ChildRecord
from headrace.store import queries
from headrace.store.attempts import Claimed, Completed
from headrace.store.crash_points import crash_point
from headrace.store.outages import transient
from headrace.store.row_types import LostJob

log = logging.getLogger("headrace.worker")

R = TypeVar("R")

# How many jobs go by before it is tried again to take messages ahead of time.
_LONGEST_ABSTENTION = 64
# For how long it is taken for true that no message waits.
_FRESH_S = 0.03
# A message that was waited for no longer than this had been there, and others may be behind it.
_AT_ONCE_S = 0.001
_LOST = "the connection to the control database was lost"
_OWN_RECORD = (
    "it changes what Headrace records of this very job in the schema headrace, and cannot be"
    " completed; what it did is undone: leave the rows of the running job alone"
)


class Ending:
    """The ends of one child's attempts."""

    def __init__(
        self, executor: Executor, consumer: Consumer, record: ChildRecord, life: Life
    ) -> None:
        self._executor = executor
        self._store = executor.store
        self._consumer = consumer
        self._record = record
        self._life = life
        self._hand_over = HandOver(executor, consumer, record)
        self._abstain, self._abstention = 0, 1
        # When Redis last had no message.
        self._none_at = 0.0
        # What else is in hand when the connection breaks; see `Sharing`.
        self.others: Callable[[], list[Claimed]] = list

    # -- ends -------------------------------------------------------------------------

    def guard(self, claimed: Claimed, action: Callable[[], R]) -> R | None:
        """Do something with an attempt, and see to it whatever goes wrong with that."""
        server = self._store.server_since
        try:
            return action()
        except StaleAttempt as error:
            self._executor.sessions.roll_back()
            self._look_again(claimed, error, server)
        except StoreUnavailable as error:
            self._executor.sessions.roll_back()
            # With the server's reason, where it gave one: a session that idled too long, say.
            self.recover([claimed], server, redacted(f"{_LOST}: {error}"))
        except Exception as error:
            # No error of the job's own comes here.
            log.exception("job %s could not be finished", claimed.id)
            self._executor.sessions.roll_back()
            self._store.drop()
            self.recover([claimed], server, redacted(f"the worker failed: {error}"))
        return None

    def _look_again(self, claimed: Claimed, stale: StaleAttempt, server: object) -> None:
        """Fail a job for good whose attempt is over in its own transaction, and not outside of it.

        Nobody else has ended it: its own SQL has changed its row, and would do so each time.
        """
        try:
            self.fail(claimed, Raised(_OWN_RECORD, "", permanent=True))
        except StaleAttempt:
            log.warning("%s; its effect on the control database was rolled back", stale)
        except StoreUnavailable as error:
            self.recover([claimed], server, redacted(f"{_LOST}: {error}"))

    def fail(self, claimed: Claimed, why: Raised) -> None:
        """Record a failure of the job's own."""
        self._record.completing()
        self._consumer.send(self._executor.give_up(claimed, why))
        self._consumer.send(self._executor.progress.finish_run(claimed))

    def succeed(
        self, claimed: Claimed, handled: Handled, *, take: int, ahead: Claimed | None = None
    ) -> tuple[Claimed | None, list[Taken]]:
        """Complete one attempt by itself.

        Up to `take` messages are taken before. Returns the next attempt, where one was claimed on
        the way, or the messages, where they are several. `ahead` is the next attempt where it was
        claimed before.

        Raises:
            StaleAttempt: The attempt is over.
            StoreUnavailable: The connection is gone.
        """
        self._record.completing()
        try:
            completed, following, taken = self._complete(claimed, handled, ahead, take=take)
        except (StaleAttempt, StoreUnavailable):
            raise
        except Exception as error:
            if self._store.broken(error):
                raise StoreUnavailable(str(error)) from error
            self._refused(claimed, error)
            return None, []
        self._consumer.send(self._executor.progress.release_dependants([claimed.id], completed))
        # A run of which a job is at hand has not ended: that one will look.
        at_hand = following or ahead
        may_have_ended = at_hand is None or at_hand.run_id != claimed.run_id
        if claimed.pool is not None or (not claimed.dependents and may_have_ended):
            self._consumer.send(self._executor.progress.finish_run(claimed))
        log.debug("job %s %s completed", claimed.id, claimed.job_class)
        return following, taken

    def give_back(self, claimed: Iterable[Claimed]) -> None:
        """Give attempts back that nobody is to blame for."""
        claimed = list(claimed)
        if claimed:
            self._lose(claimed, "released", "")
            self._consumer.send([_again(one) for one in claimed])

    def recover(self, claimed: Sequence[Claimed], server: object, why: str = _LOST) -> None:
        """The connection broke in the middle: ask the database, when it is back, what became of it.

        What was committed is; what was not is given back. A job that breaks the connection each
        time (it makes its server process crash, say) spends the crash budget; where the whole
        server was started anew since `server`, no job is to blame.
        """
        others = self.others()
        while True:
            try:
                self._fail_ended(claimed)
                with self._store.transaction() as tx:
                    restarted = self._store.server_since != server
                    outcome = "released" if restarted else "crashed"
                    released = after_loss(tx, self._lose(claimed, outcome, why))
                    for one in claimed:
                        self._executor.write_log(one)
                self.give_back(others)
                self._consumer.send(released)
                self._consumer.send(
                    self._executor.progress.finish_runs(one.run_id for one in claimed)
                )
                return
            except StoreUnavailable as error:
                self._life.sit_out(error)

    def _fail_ended(self, claimed: Sequence[Claimed]) -> None:
        """Fail the job for good that has ended its transaction before the connection broke.

        One that was completed is left alone, as is one that is somebody else's.
        """
        ended = self._executor.sessions.verdict()
        if ended is None or len(claimed) != 1:
            return
        with suppress(StaleAttempt):
            why = raised(TransactionEnded(ended))
            self._consumer.send(self._executor.give_up(claimed[0], why))

    # -- taking ahead -----------------------------------------------------------------

    def take_more(self, most: int, *, anew: bool = False) -> list[Taken]:
        """Take up to `most` messages that wait, where it looks worth while to ask.

        With `anew` it does, if nobody has asked a moment ago.
        """
        self._abstain -= 1
        abstains = self._abstain > 0 and not (anew and not self._nothing_waits)
        if most < 1 or self._record.suspended or abstains:
            return []
        try:
            taken = self._consumer.take_waiting(most)
        except QueueUnavailable:
            return []
        if taken:
            self._abstention = 1
        else:
            self._none_at = time.monotonic()
            # Nothing waits: asking again after each job would cost a round trip for nothing.
            self._abstention = min(self._abstention * 2, _LONGEST_ABSTENTION)
            self._abstain = self._abstention
        return taken

    def waited(self, seconds: float) -> None:
        """Note for how long a message was waited for: where it was there, it is asked for more."""
        if seconds < _AT_ONCE_S:
            self._abstain = 0

    def take_ahead(self, most: int, *, done: int) -> list[Taken]:
        """Take up to `most` messages in the completion of the `done` present jobs."""
        self._record.completing()
        taken = self.take_more(self._life.room(most, at_work=done))
        if taken:
            self._record.holding([(UUID(job_id), number) for job_id, number, _ in taken])
            crash_point("taken-ahead")
        return taken

    @property
    def _nothing_waits(self) -> bool:
        """Whether no message waited when Redis was asked a moment ago."""
        return time.monotonic() - self._none_at < _FRESH_S and not self._record.suspended

    # -- inside -----------------------------------------------------------------------

    def _complete(
        self, claimed: Claimed, handled: Handled, ahead: Claimed | None, *, take: int
    ) -> tuple[Completed, Claimed | None, list[Taken]]:
        """Under load: take the next message first, then end one job and start the next at once."""
        sessions = self._executor.sessions
        # A session that a job has marked is closed after it: nothing is claimed over that line.
        alone = not take or sessions.dirty or handled.expansion is not None
        room = 0 if alone else self._life.room(take, at_work=1)
        taken = self.take_more(room, anew=claimed.dependents == 1) if room else []
        if not taken:
            hands_on = bool(room) and self._nothing_waits
            if hands_on and (done := self._hand_over.at_once(claimed, handled)) is not None:
                return *done, []
            handed_on: list[Claimed] = []
            then = partial(self._hand_over.after, handed_on) if hands_on else ahead
            completed = self._executor.complete(claimed, handled, then)
            if not handed_on:
                return completed, None, []
            return replace(completed, released=()), handed_on[0], []
        self._record.holding([(UUID(job_id), number) for job_id, number, _ in taken])
        crash_point("taken-ahead")
        if len(taken) == 1:
            return *self._end_and_begin(claimed, handled, taken[0]), []
        with self._consumer.put_back_on_failure(taken):
            return self._executor.complete(claimed, handled), None, taken

    def _end_and_begin(
        self, claimed: Claimed, handled: Handled, taken: Taken
    ) -> tuple[Completed, Claimed | None]:
        """Complete one attempt and claim the next job in one statement."""
        (job_id, number, _), sessions = taken, self._executor.sessions
        with self._consumer.put_back_on_failure([taken]):
            sessions.refuse_disorder()
            lines, xact = self._executor.log_lines(claimed), sessions.number
            completed, following = self._store.complete_and_claim(
                claimed, handled.result, job_id, number, lines, xact=xact
            )
            self._executor.commit(following)
        if following is None:
            self._consumer.done(f"{job_id}_{number}")
        if completed is None:
            # The next one is ours all the same.
            self.give_back([following] if following else [])
            raise StaleAttempt(f"attempt {claimed.attempt} of job {claimed.id} is over")
        return completed, following

    def _refused(self, claimed: Claimed, error: Exception) -> None:
        """The completion itself was refused: by a deferred constraint, a result that is no JSON."""
        if transient(error):
            # Undone for another transaction's sake: the job has done nothing wrong.
            self._executor.sessions.roll_back()
            self.give_back([claimed])
        else:
            self.fail(claimed, raised(error))

    def _lose(self, claimed: Sequence[Claimed], outcome: str, error: str) -> list[LostJob]:
        gone = [{"id": str(one.id), "attempt": one.attempt} for one in claimed]
        return self._store.rows(
            queries.LOSE_ATTEMPTS,
            attempts=json.dumps(gone),
            outcome=outcome,
            error=error,
            crash_budget=CRASH_BUDGET,
        )


def _again(claimed: Claimed) -> Message:
    return Message(claimed.id, claimed.attempt, claimed.queue, claimed.timeout_s)
