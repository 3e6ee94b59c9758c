"""Runs the batches of one child; see `Batch` for which jobs share a commit, and why."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.outcome import Handled, Raised
from headrace.engine.workers.attempt_outcome import Ending
from headrace.engine.workers.child_lifetime import Life
from headrace.engine.workers.group_commit.batch import Batch
from headrace.engine.workers.group_commit.publishing import Publishing
from headrace.engine.workers.group_commit.shared_batch import SharedBatch
from headrace.engine.workers.group_commit.shared_work import SharedWork
from headrace.engine.workers.group_commit.taken_ahead import sort_out
from headrace.errors import JobStopped, StoreUnavailable
from headrace.queue.consumer import Consumer, Taken
from headrace.queue.shared_memory import ChildRecord
from headrace.store.attempts import Claimed, CompletedBatch
from headrace.store.crash_points import crash_point
from headrace.store.log_lines import lines_of_batch

log = logging.getLogger("headrace.worker")

_MOST_SAID = 4000
"""Characters of log lines, as JSON, with which a job still shares its commit with others."""


class GroupCommit:
    """Runs the batches of one child.

    While a job runs, the others of its batch are published in shared memory, from which the parent
    may collect them: they are withdrawn before anything is done with them.
    """

    def __init__(
        self,
        executor: Executor,
        consumer: Consumer,
        record: ChildRecord,
        shared: SharedBatch,
        life: Life,
        ending: Ending,
        *,
        most: int,
    ) -> None:
        self._executor = executor
        self._store = executor.store
        self._consumer = consumer
        self._record = record
        self._shared = shared
        self._life = life
        self._ending = ending
        # The line over which all of the batch was claimed.
        self._line = 0
        self._class_at_hand = ""
        self._began = self._ran_s = 0.0
        self.batch = Batch(most)
        self.publishing = Publishing(shared, record, self.batch)
        self.shared_work = SharedWork(
            executor, consumer, life, ending, self.batch, self.publishing, self
        )
        ending.others = self._take_all
        executor.sessions.before_use = self._complete_others

    def handle(self, claimed: Claimed) -> Handled | Raised:
        """Run a job, and learn how long its like take.

        What was claimed ahead of a brief job stays published until its completion.
        """
        began = self._began = time.perf_counter()
        self._class_at_hand = claimed.job_class
        self.publishing.publish(claimed)
        try:
            with self._life.at_work():
                handled = self._executor.handle(claimed)
        except BaseException as error:
            # Of a job that was stopped the parent completes what is published.
            if not isinstance(error, JobStopped):
                self.publishing.withdraw()
            raise
        plain = isinstance(handled, Handled) and handled.plain
        alone = isinstance(handled, Handled) and not (plain or claimed.pool or handled.expansion)
        took_s = self._ran_s = time.perf_counter() - began
        self.batch.learn(claimed.job_class, took_s, plain=plain)
        if not alone:
            self.batch.learn_brief(claimed.job_class, took_s, took_s, alone=False)
        if self.batch.ended or not alone:
            self.publishing.withdraw()
        return handled

    def completed(self, claimed: Claimed) -> None:
        """Learn how long one takes that is completed by itself, with its commit."""
        took_s = time.perf_counter() - self._began
        self.batch.learn_brief(claimed.job_class, self._ran_s, took_s, alone=not claimed.pool)

    def claim_ahead(self, taken: Sequence[Taken]) -> Claimed | None:
        """Claim the jobs of messages taken after a brief one; return the first."""
        began = time.monotonic()
        with self._consumer.put_back_on_failure(taken):
            ours = self._store.claim_several([one[:2] for one in taken], self.batch.brief)
        self._line = self._store.line
        self._ahead(ours, began)
        crash_point("claimed-ahead")
        sort_out(self._consumer, self.batch, taken, ours)
        return self._next()

    def joins(self, claimed: Claimed, handled: Handled) -> bool:
        """Put a job that has ended into the batch, if it is one that may share a commit.

        If it says too much, or its result is too large for the shared memory, it is not: it is
        completed by itself.
        """
        if not handled.plain or not self.batch.is_short(claimed.job_class):
            return False
        lines = self._executor.log_lines(claimed)
        if lines is not None and (lines.left_out or len(lines.entries) > _MOST_SAID):
            return False
        if not self.batch:
            # The first one: it is completed together with the claim of others.
            self._line = self._store.line
            self._executor.lines_kept.clear()
        elif not self._shared.add_result(
            claimed.id, claimed.attempt, handled.result, lines.entries if lines else None
        ):
            return False
        if lines is not None:
            self._executor.lines_kept[claimed.id] = lines
        self.batch.ended.append((claimed, handled))
        if len(self.batch.ended) > 1:
            crash_point("in-batch")
        return True

    def go_on(self) -> Claimed | None:
        """Return the batch's next job; after its last one close it and begin the next batch."""
        if not self.batch:
            return None
        same_line = self._store.line == self._line and not self._store.lost
        if same_line and not self._life.ended and (one := self._next()):
            return one
        server = self._store.server_since
        self._record.completing()
        try:
            self._close()
        except StoreUnavailable:
            ended = [claimed for claimed, _ in self.batch.take_ended()]
            self._ending.recover(ended, server)
        if one := self._next():
            return one
        self._record.idle()
        return None

    def _next(self) -> Claimed | None:
        """Begin the next one of those claimed ahead."""
        if not self.batch.ahead:
            return None
        following = self.batch.ahead.popleft()
        if not self.batch:
            # The last one is at hand, and nothing waits for it.
            self._shared.clear()
        return following

    def _ahead(self, claimed: Sequence[Claimed], since: float) -> None:
        self.batch.ahead.extend(claimed)
        self._shared.begin([(one.id, one.attempt) for one in claimed], since)

    # -- closing ----------------------------------------------------------------------

    def _close(self) -> None:
        self._same_line()
        self._ending.give_back(self.batch.take_ahead())
        if not self.batch.ended:
            return
        taken = self._ending.take_more(self._life.room(self.batch.room, at_work=0))
        if taken:
            messages = [(UUID(job_id), number) for job_id, number, _ in taken]
            self._record.holding([*self.batch.messages(), *messages])
            crash_point("taken-ahead")
        if len(self.batch.ended) == 1 and not taken:
            self._complete_each()
            return
        try:
            with self._consumer.put_back_on_failure(taken):
                self._complete(taken)
        except StoreUnavailable:
            raise
        except Exception as error:
            if self._store.broken(error):
                raise StoreUnavailable(str(error)) from error
            log.debug("a batch could not be completed at once: %s", error)
            self._complete_each()

    def complete_each(self, ended: Sequence[tuple[Claimed, Handled]]) -> None:
        """Complete jobs one by one; see `SharedWork`."""
        self.batch.ended = list(ended)
        self._complete_each()

    def _complete_each(self) -> None:
        # One by one: should the line break, all that is left is recovered at once.
        while self.batch.ended:
            claimed, handled = self.batch.ended.pop(0)
            self._ending.guard(claimed, partial(self._ending.succeed, claimed, handled, take=0))
            self._consumer.done(_message(claimed))

    def _complete(self, taken: Sequence[Taken]) -> None:
        """Complete what has ended, and claim what was taken, which is `ahead` from then on."""
        ended = self.batch.in_order()
        began = time.monotonic()
        completed, claimed = self._store.complete_batch(
            [(one, handled.result) for one, handled in ended],
            [(job_id, number) for job_id, number, _ in taken],
            self.batch.short,
            self.said([one for one, _ in ended]),
        )
        self.batch.ended.clear()
        self.recorded([one for one, _ in ended], completed, taken, claimed, began)

    def recorded(
        self,
        ended: Sequence[Claimed],
        completed: CompletedBatch,
        taken: Sequence[Taken],
        claimed: Sequence[Claimed],
        began: float,
    ) -> None:
        """Go on from a completion that is committed; see `SharedWork`."""
        self._line = self._store.line
        if taken:
            self._ahead(claimed, began)
        elif not self.batch.ahead:
            self._shared.clear()
        crash_point("after-commit")
        if taken:
            sort_out(self._consumer, self.batch, taken, claimed)
        for one in ended:
            self._consumer.done(_message(one))
            if one.id not in completed.ids:
                log.warning("attempt %s of job %s is over", one.attempt, one.id)
        closed = [one for one in ended if one.id in completed.ids]
        self._consumer.send(
            self._executor.progress.release_dependants([one.id for one in closed], completed)
        )
        # A run of which a job is at hand has not ended: that one will look.
        going_on = {one.run_id for one in claimed}
        ends = [one.run_id for one in closed if not one.dependents and one.run_id not in going_on]
        self._consumer.send(self._executor.progress.finish_runs(ends))

    def ran(self, jobs: int) -> None:
        """Count jobs that have ended beside the one at hand."""
        self._life.jobs += jobs
        for _ in range(jobs):
            self._record.finished()

    def said(self, ended: Sequence[Claimed]) -> str | None:
        """Return the log lines of jobs that are completed together."""
        kept = self._executor.lines_kept
        said = [(one.id, one.attempt, kept[one.id].entries) for one in ended if one.id in kept]
        return lines_of_batch(said) if said else None

    # -- while a job runs -------------------------------------------------------------

    def _complete_others(self) -> None:
        """Complete what has ended and requeue what has not begun, before a job's first session.

        From then on the line belongs to the job's transaction, and such a job may take long. What
        was claimed ahead of a brief one stays where it is, published: the parent sees to it.
        """
        brief = not self.batch.ended and self.batch.is_brief(self._class_at_hand)
        if brief or self._executor.sessions.sharing is not None:
            return
        self.publishing.withdraw()
        if not self.batch:
            return
        try:
            self._same_line()
            if self.batch.ended:
                self._complete([])
            self._ending.give_back(self.batch.take_ahead())
            self._shared.clear()
            self._consumer.flush()
        except Exception as error:  # noqa: BLE001 - it must not come out in the job's own code
            # What is still in hand is dealt with by the parent, or after the job.
            log.debug("the outcome of a batch could not be determined: %s", error)
        if self.batch:
            self.publishing.again()

    def _take_all(self) -> list[Claimed]:
        self._shared.clear()
        return self.batch.take_all()

    def _same_line(self) -> None:
        """Refuse to complete over another line than the claims': see `AttemptStore`."""
        if self._store.line != self._line:
            raise StoreUnavailable("the connection to the control database was lost")


def _message(one: Claimed) -> str:
    return f"{one.id}_{one.attempt - 1}"
