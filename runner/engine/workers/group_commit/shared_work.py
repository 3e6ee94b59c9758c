"""Runs several jobs of a child in one transaction, where each of them only appends rows.

Whether that is so is known after they have run (`Sharing`). Where it is not, or anything else goes
wrong, all that they did is undone, and each is run by itself as if nothing had been tried. See
docs/adr/0046-jobs-that-append-share-a-transaction.md.
"""

import logging
import time
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from typing import Protocol

from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.outcome import Handled
from headrace.engine.workers.attempt_outcome import Ending
from headrace.engine.workers.child_lifetime import Life
from headrace.engine.workers.group_commit.batch import Batch
from headrace.engine.workers.group_commit.publishing import Publishing
from headrace.errors import StoreUnavailable
from headrace.hooks import registered
from headrace.queue.consumer import Consumer, Taken
from headrace.store.attempt_transaction import EffectApplied
from headrace.store.attempts import Claimed, CompletedBatch
from headrace.store.crash_points import crash_point
from headrace.store.sharing import Sharing

log = logging.getLogger("headrace.worker")

# The keys of a job that sends its own statements and does nothing else.
_KEYS = frozenset(("sql", "sql_path", "params", "connection"))
# A job that may not run for long keeps its own transaction: its time counts from its beginning.
_LEAST_TIMEOUT_S = 10.0
# How many jobs have a transaction of their own after a failure, at first and at most.
_APART, _LONGEST_APART = 16, 1024
# Of what is known to do more than to append, forgotten together.
_MOST_KNOWN = 1000

Ended = list[tuple[Claimed, Handled]]


class Work(Protocol):
    """What the batch's own completion has in common with this one."""

    def said(self, ended: Sequence[Claimed]) -> str | None:
        """Return the log lines of jobs that are completed together."""
        ...

    def recorded(
        self,
        ended: Sequence[Claimed],
        completed: CompletedBatch,
        taken: Sequence[Taken],
        claimed: Sequence[Claimed],
        began: float,
    ) -> None:
        """Go on from a completion that is committed."""
        ...

    def complete_each(self, ended: Ended) -> None:
        """Complete jobs one by one."""
        ...

    def ran(self, jobs: int) -> None:
        """Count jobs that have ended beside the one at hand."""
        ...


class _Undone(Exception):
    """What was tried together is to be done one by one."""


class SharedWork:
    """The shared transactions of one child."""

    def __init__(
        self,
        executor: Executor,
        consumer: Consumer,
        life: Life,
        ending: Ending,
        batch: Batch,
        publishing: Publishing,
        work: Work,
    ) -> None:
        self._executor, self._store = executor, executor.store
        self._consumer, self._life, self._ending = consumer, life, ending
        self._batch, self._publishing = batch, publishing
        self._work = work
        self._known: set[str] = set()
        self._apart, self._left_apart = _APART, 0

    def done(self, first: Claimed) -> bool:
        """Run and complete the job at hand with those claimed ahead, where all only append.

        False where nothing was done: it is to be run by itself.

        Raises:
            StoreUnavailable: The connection is gone; whether they are completed is not known.
            JobStopped: The child is to end, and what was done is undone with its connection.
        """
        jobs = self._alike(first)
        if len(jobs) < 2:
            return False
        sessions = self._executor.sessions
        self._publishing.publish(first)
        sessions.sharing, self._line = Sharing(), self._store.line
        try:
            self._completed(self._run(jobs, sessions.sharing))
        except StoreUnavailable:
            self._publishing.withdraw()
            raise
        except Exception as error:
            if self._store.broken(error):
                raise StoreUnavailable(str(error)) from error
            log.debug("%d jobs are run one by one: %s", len(jobs), error)
            self._undo(jobs, sessions.sharing)
            return False
        finally:
            sessions.sharing = None
        self._apart = _APART
        return True

    # -- inside -----------------------------------------------------------------------

    def _alike(self, first: Claimed) -> list[Claimed]:
        """Return the jobs to be tried together: the one at hand and what follows it."""
        if self._left_apart:
            self._left_apart -= 1
            return []
        batch = self._batch
        if not batch.ahead or batch.ended or self._life.stopping:
            return []
        if registered("before_attempt", "after_attempt", "on_failure"):
            return []
        place = first.payload.get("connection")
        if self._executor.sessions.kind_of(place) != "postgresql":
            return []
        found = list(takewhile(partial(self._may_share, place), (first, *batch.ahead)))
        return found[: self._life.room(len(found), at_work=0)]

    def _may_share(self, place: object, one: Claimed) -> bool:
        payload = one.payload
        return (
            payload.get("connection") == place
            and one.pool is None
            and not one.late
            and one.env is None
            and one.timeout_s >= _LEAST_TIMEOUT_S
            and payload.keys() <= _KEYS
            and self._batch.is_brief(one.job_class)
            and _source(one) not in self._known
            and self._executor.works_at_once(one.job_class)
        )

    def _run(self, jobs: Sequence[Claimed], sharing: Sharing) -> Ended:
        """Run them in turn, as long as it takes no longer than together is right.

        The process is looked at after the last one: such a job leaves nothing in it.
        """
        tidy, self._executor.tidy = self._executor.tidy, _nothing
        try:
            return self._run_each(jobs, sharing)
        finally:
            self._executor.tidy = tidy
            tidy()

    def _run_each(self, jobs: Sequence[Claimed], sharing: Sharing) -> Ended:
        ended: Ended = []
        began = time.perf_counter()
        self._executor.lines_kept.clear()
        for one in jobs:
            if time.perf_counter() - began > self._batch.together_s:
                break
            with self._life.at_work():
                handled = self._executor.handle(one)
            if not isinstance(handled, Handled) or not sharing.has_run(len(ended) + 1):
                if sharing.refused:
                    self._know(one)
                raise _Undone("one of them does not only append rows, or has failed")
            lines = self._executor.log_lines(one)
            if lines is not None:
                if lines.left_out:
                    raise _Undone("one of them says too much")
                self._executor.lines_kept[one.id] = lines
            ended.append((one, handled))
        self._took_s = (time.perf_counter() - began) / len(ended)
        crash_point("shared")
        return ended

    def _completed(self, ended: Ended) -> None:
        """Complete all of them, and claim the next ones with it."""
        sessions, batch = self._executor.sessions, self._batch
        assert sessions.sharing is not None
        if not self._publishing.withdraw():
            raise _Undone("the parent has given the others back")
        if not sessions.sharing.only_appends():
            for one, _ in ended:
                self._know(one)
            raise _Undone("a table does more than to take rows")
        if self._store.line != self._line:
            raise StoreUnavailable("the connection to the control database was lost")
        elsewhere = sessions.number is None
        self._store.prepend("")  # The session is in order.
        # Before the commit on a target: little may lie between that and the completion.
        left = list(batch.ahead)[len(ended) - 1 :]
        taken = [] if left else self._ending.take_ahead(batch.room_ahead, done=len(ended))
        began = time.monotonic()
        if elsewhere:
            with self._consumer.put_back_on_failure(taken):
                self._commit_elsewhere(ended)
        try:
            with self._consumer.put_back_on_failure(taken):
                completed, claimed = self._end(ended, taken, left, elsewhere=elsewhere)
        except StoreUnavailable:
            raise
        except Exception as error:
            if not elsewhere or self._store.broken(error):
                raise
            log.debug("%d jobs are completed one by one: %s", len(ended), error)
            self._passed(len(ended))
            self._work.complete_each(ended)
            return
        self._passed(len(ended))
        took_s = self._took_s + (time.monotonic() - began) / len(ended)
        of_each, jobs = ended[0][0].job_class, len(ended)
        batch.learn_brief(of_each, self._took_s, took_s, alone=True, jobs=jobs)
        self._work.recorded([one for one, _ in ended], completed, taken, claimed, began)

    def _commit_elsewhere(self, ended: Ended) -> None:
        """Commit on the target; from then on its ledger says that these jobs are done."""
        try:
            self._executor.sessions.commit_targets(*((one.id, one.attempt) for one, _ in ended))
        except EffectApplied:
            raise _Undone("one of them was done before") from None
        crash_point("after-target")

    def _end(
        self, ended: Ended, taken: Sequence[Taken], left: Sequence[Claimed], *, elsewhere: bool
    ) -> tuple[CompletedBatch, list[Claimed]]:
        completed, claimed = self._store.complete_batch(
            sorted(((one, of.result) for one, of in ended), key=lambda pair: pair[0].id),
            [one[:2] for one in taken],
            self._batch.brief,
            self._work.said([one for one, _ in ended]),
        )
        if not elsewhere:
            if len(completed.ids) != len(ended):
                raise _Undone("one of them is over")
            self._executor.commit(next(iter((*left, *claimed)), None))
        return completed, claimed

    def _passed(self, jobs: int) -> None:
        """Note that the jobs have ended, of which the first is at hand."""
        for _ in range(jobs - 1):
            self._batch.ahead.popleft()
        self._work.ran(jobs - 1)

    def _undo(self, jobs: Sequence[Claimed], sharing: Sharing) -> None:
        self._executor.sessions.roll_back()
        self._executor.lines_kept.clear()
        self._publishing.withdraw()
        if sharing.refused:
            # What it was is known now.
            self._left_apart = len(jobs)
            return
        self._left_apart, self._apart = self._apart, min(2 * self._apart, _LONGEST_APART)

    def _know(self, one: Claimed) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known.add(_source(one))


def _nothing() -> None:
    pass


def _source(one: Claimed) -> str:
    return str(one.payload.get("sql") or one.payload.get("sql_path"))
