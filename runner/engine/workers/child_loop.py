"""The life of a worker's child: take, claim, execute, and so on until it is replaced."""

import time
from contextlib import suppress
from functools import partial

from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.outcome import Handled, Raised
from headrace.engine.attempts.unknown_jobs import say_if_too_new
from headrace.engine.workers.attempt_outcome import Ending
from headrace.engine.workers.child_lifetime import Life, Stop
from headrace.engine.workers.group_commit.child_side import GroupCommit
from headrace.engine.workers.group_commit.shared_batch import SharedBatch
from headrace.engine.workers.job_leftovers import ProcessState
from headrace.errors import HeadraceError, JobStopped, QueueUnavailable, StoreUnavailable
from headrace.queue.consumer import Consumer, Taken
from headrace.queue.process_tree import reap_adopted
from headrace.queue.shared_memory import ChildRecord
from headrace.store.attempts import Claimed
from headrace.store.crash_points import crash_point

# Jobs between two looks for dead processes that an earlier job has left to this one.
_REAP_EVERY = 64
_AWAY = suppress(StoreUnavailable)


class ChildLoop:
    """Takes and executes jobs until it is asked to stop or has done `max_jobs`."""

    def __init__(
        self,
        executor: Executor,
        consumer: Consumer,
        record: ChildRecord,
        shared: SharedBatch,
        *,
        jobs_per_commit: int = 1,
        max_jobs: int = 0,
        max_memory_bytes: int = 0,
    ) -> None:
        self._executor = executor
        self._store = executor.store
        self._consumer = consumer
        self._record = record
        self._life = Life(record, max_jobs=max_jobs, max_memory_bytes=max_memory_bytes)
        self._process = ProcessState()
        # The attempt of which the record says that it runs.
        self._told: Claimed | None = None
        self._ending = Ending(executor, consumer, record, self._life)
        self._group_commit = GroupCommit(
            executor,
            consumer,
            record,
            shared,
            self._life,
            self._ending,
            most=1 if executor.hooks.wait_for_end else jobs_per_commit,
        )

    def run(self) -> None:
        """Live. Returns when the child has to end."""
        self._life.begin()
        self._process.remember()
        self._executor.tidy = self._tidy
        try:
            while not self._life.ended:
                try:
                    self._turn()
                    self._life.go_on()
                except (StoreUnavailable, QueueUnavailable) as error:
                    self._life.sit_out(error)
        except (Stop, JobStopped):
            # What was open is rolled back with the connection; the parent tells how it ended.
            pass
        finally:
            with suppress(HeadraceError):
                self._consumer.flush()
            self._consumer.close()
            self._store.drop()

    # -- one turn ---------------------------------------------------------------------

    def _turn(self) -> None:
        self._connect()
        taken = self._take()
        if taken is None:
            return
        claimed = self._claim(taken)
        while claimed is not None:
            claimed = self._execute(claimed) or self._group_commit.go_on()

    def _connect(self) -> None:
        if self._store.lost:
            self._record.connected(self._store.raw.backend_pid)

    def _take(self) -> Taken | None:
        self._store.end_ahead()
        while self._suspended():
            self._consumer.flush()
            self._life.sleep(1.0)
        with self._life.waiting():
            began = time.monotonic()
            taken = self._consumer.take()
        if taken is not None:
            self._ending.waited(time.monotonic() - began)
            self._record.taken(taken[0], taken[1])
            crash_point("taken")
            if self._suspended():
                self._consumer.give_back([taken])
                self._record.idle(finished=False)
                return None
        return taken

    def _suspended(self) -> bool:
        return self._record.suspended

    def _claim(self, taken: Taken) -> Claimed | None:
        """Claim what was taken. Through an outage the message stays in hand, not on its way."""
        while True:
            try:
                claimed = self._store.claim(taken[0], taken[1])
                break
            except StoreUnavailable as error:
                try:
                    self._life.sit_out(error)
                except Stop:
                    self._consumer.give_back([taken])
                    raise
        if claimed is None:
            self._consumer.done(f"{taken[0]}_{taken[1]}")
            self._record.idle(finished=False)
            say_if_too_new(self._store, taken[0], taken[1])
        return claimed

    def _execute(self, claimed: Claimed) -> Claimed | None:
        """Execute one attempt; returns the next one where it was claimed on the way."""
        if claimed is not self._told:
            self._running(claimed)
        crash_point("claimed")
        following = self._ending.guard(claimed, partial(self._attempt, claimed))
        self._life.jobs += 1
        if self._life.jobs % _REAP_EVERY == 0:
            reap_adopted()
        if not self._group_commit.batch.has_ended(claimed):
            self._consumer.done(f"{claimed.id}_{claimed.attempt - 1}")
        if following is not None:
            self._running(following)
        elif self._group_commit.batch:
            self._record.finished()
        else:
            self._record.idle()
        with _AWAY:
            self._executor.sessions.clean()
        if self._executor.hooks.after():
            self._tidy()
        return following

    def _attempt(self, claimed: Claimed) -> Claimed | None:
        if self._group_commit.shared_work.done(claimed):
            return None
        handled = self._group_commit.handle(claimed)
        try:
            if isinstance(handled, Raised):
                self._ending.fail(claimed, handled)
                return None
            if self._group_commit.joins(claimed, handled):
                return None
            return self._completed(claimed, handled)
        finally:
            self._group_commit.publishing.withdraw()

    def _completed(self, claimed: Claimed, handled: Handled) -> Claimed | None:
        """Complete one attempt by itself; returns the next one where it was claimed on the way."""
        batch = self._group_commit.batch
        # With hooks each attempt ends by itself: the next one must not wait for them, claimed.
        alone = batch or self._executor.hooks.wait_for_end
        several = batch.room_ahead if batch.is_brief(claimed.job_class) else 1
        ahead = batch.ahead[0] if batch.ahead else None
        following, taken = self._ending.succeed(
            claimed, handled, take=0 if alone else several, ahead=ahead
        )
        if handled.expansion is None:
            self._group_commit.completed(claimed)
        return self._group_commit.claim_ahead(taken) if taken else following

    def _tidy(self) -> None:
        """Leave nothing of a job in this process; where something stays, it is the last one."""
        for left in self._process.put_back():
            self._life.leave(left)

    def _running(self, claimed: Claimed) -> None:
        self._record.running(claimed.id, claimed.attempt, time.monotonic() + claimed.timeout_s)
        self._told = claimed
