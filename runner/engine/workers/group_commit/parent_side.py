"""Completes, in a worker's parent, what its children have ended while their next jobs take long."""

import logging
import time
from collections.abc import Sequence, Set
from typing import Protocol
from uuid import UUID

from headrace.engine.attempts.run_progress import RunProgress
from headrace.engine.gating.gate import after_loss
from headrace.engine.workers.group_commit.polling import SharedBatches
from headrace.engine.workers.group_commit.shared_batch import Attempt, EndedJob, PendingBatch
from headrace.engine.workers.interrupted_attempts import lose_attempts
from headrace.errors import StoreUnavailable
from headrace.observe.redaction import redacted
from headrace.queue.message import Message
from headrace.store import queries
from headrace.store.attempts import CompletedBatch, array
from headrace.store.crash_points import crash_point
from headrace.store.database import Database
from headrace.store.log_lines import lines_of_batch

log = logging.getLogger("headrace.worker")

Outcome = tuple[str, str]
"""What `lose_attempts` is to write: an outcome and an error."""

# Before PostgreSQL is asked again that has not answered.
_PAUSE_S = 1.0


class _Send(Protocol):
    """Sends messages, and forgets those, by their ids, that nobody will take any more."""

    def __call__(self, messages: Sequence[Message], taken: Set[str] = ...) -> None:
        """Send; what Redis does not take now is sent by the daemon's sweep."""
        ...


class ParentCompletion:
    """Completes what a child has ended and not recorded, and requeues what it has not begun."""

    def __init__(self, database: Database, batches: SharedBatches, send: _Send) -> None:
        self._database = database
        self._batches = batches
        self._send = send
        self._progress = RunProgress(
            database, lambda run: database.rows(queries.FINISH_RUN, ids=[run])
        )
        self._pending: list[PendingBatch] = []
        self._not_before = 0.0

    def poll(self) -> float | None:
        """Complete what is due; see `WorkerHooks.record_results`."""
        collected, again_in_s = self._batches.collect_due()
        self._pending += collected
        if collected:
            crash_point("batch-collected")
        if self._pending and time.monotonic() >= self._not_before:
            self.catch_up()
        return again_in_s

    def child_ended(self, index: int) -> None:
        """Collect the batch of a child that has died; `catch_up` completes it."""
        pending = self._batches[index].remaining()
        if pending is not None:
            self._pending.append(pending)

    def catch_up(self) -> bool:
        """Complete all that has been collected; False if PostgreSQL does not answer."""
        while self._pending:
            try:
                self._record(self._pending[0])
            except StoreUnavailable as error:
                log.debug("the results of a batch are recorded later: %s", error)
                self._not_before = time.monotonic() + _PAUSE_S
                return False
            del self._pending[0]
        return True

    def _record(self, pending: PendingBatch) -> None:
        """Complete what has ended, then requeue the rest: each fenced by its attempt.

        If the connection is younger than the claims, the server may have lost those in between
        and given their numbers out again: then all of it is requeued, as by a child whose own
        connection broke.
        """
        refused = self._complete(pending)
        crash_point("batch-completed-by-parent")
        with self._database.transaction() as tx:
            requeued = lose_attempts(tx, pending.not_begun, "released", "")
            # They run in the order in which they stood on their queue.
            order = [job_id for job_id, _ in pending.not_begun]
            messages = after_loss(tx, sorted(requeued, key=lambda row: order.index(row["id"])))
            for attempt, why in refused:
                messages += after_loss(tx, lose_attempts(tx, [attempt], *why))
        crash_point("batch-requeued-by-parent")
        ended = [(one.job_id, one.attempt) for one in pending.ended]
        self._send(messages, _messages([*ended, *pending.not_begun]))

    def _complete(self, pending: PendingBatch) -> list[tuple[Attempt, Outcome]]:
        """Complete all that has ended in one commit; if that is refused, each by itself.

        Returns what could not be completed, and as what it is to be lost.
        """
        try:
            if self._completed(pending.ended, pending.claimed_at):
                return []
            return [((one.job_id, one.attempt), ("released", "")) for one in pending.ended]
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a deadlock, or one of the results
            log.debug("a batch could not be completed at once: %s", error)
        refused: list[tuple[Attempt, Outcome]] = []
        for one in pending.ended:
            try:
                if not self._completed([one], pending.claimed_at):
                    refused.append(((one.job_id, one.attempt), ("released", "")))
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                # As a crash: it may be refused again, and must not go round for ever.
                why = redacted(f"its completion was refused: {error}")
                refused.append(((one.job_id, one.attempt), ("crashed", why)))
        return refused

    def _completed(self, ended: Sequence[EndedJob], claimed_at: float) -> bool:
        """Complete attempts in one commit; False if the claims cannot be trusted."""
        if not ended:
            return True
        # In the order in which everybody locks rows.
        ended = sorted(ended, key=lambda one: one.job_id)
        with self._database.transaction() as tx:
            if tx.open_since >= claimed_at:
                return False
            lines = [(one.job_id, one.attempt, one.lines) for one in ended if one.lines]
            if lines:
                tx.rows("add_lines_of_batch", said=lines_of_batch(lines))
            tx.rows("look_up_by_key")
            (row,) = tx.rows(
                queries.COMPLETE_ENDED,
                ids=array(one.job_id for one in ended),
                attempts=array(one.attempt for one in ended),
                results=[one.result for one in ended],
            )
        ids = frozenset(map(UUID, row["ids"] or ()))
        completed = CompletedBatch(
            ids, row["released"] or (), row["undecided"] or (), bool(row["recount"])
        )
        self._send(self._progress.release_dependants(ids, completed))
        self._send(self._progress.finish_runs(map(UUID, row["runs"] or ())))
        return True


def _messages(attempts: Sequence[Attempt]) -> frozenset[str]:
    """Return the ids of the messages of these attempts, which bear the number before."""
    return frozenset(f"{job_id}_{attempt - 1}" for job_id, attempt in attempts)
