"""Goes on with the job that a completion has released, claimed with it and without a message.

Only where it is the only one, and nothing waits: what waits comes first. See
docs/adr/0036-brief-jobs-are-claimed-ahead.md.
"""

from uuid import UUID

from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.one_message import OneMessage
from headrace.engine.attempts.outcome import Handled
from headrace.queue.consumer import Consumer
from headrace.queue.shared_memory import ChildRecord
from headrace.store.attempts import Claimed, Completed
from headrace.store.crash_points import crash_point, is_armed
from headrace.store.follower import handing_on


class HandOver:
    """The hops of chains in one child."""

    def __init__(self, executor: Executor, consumer: Consumer, record: ChildRecord) -> None:
        self._executor, self._store = executor, executor.store
        self._consumer, self._record = consumer, record
        self._worth = OneMessage()

    def at_once(
        self, claimed: Claimed, handled: Handled
    ) -> tuple[Completed, Claimed | None] | None:
        """Complete, claim the next job and commit in one message; None where nothing is done.

        The dependant was known when the attempt was claimed. Where others are released, too, or it
        has more to wait for, the message fails.
        """
        sessions = self._executor.sessions
        if claimed.below is None or sessions.number is None or not self._is_worth_it(claimed):
            return None
        sessions.refuse_disorder()
        self._record.holding([(UUID(claimed.below[0]), claimed.below[1])])
        lines = self._executor.log_lines(claimed)
        commands, follower = handing_on(
            self._store, claimed, handled.result, lines, sessions.number, self._consumer.queues
        )
        done = sessions.commit_control(commands, ahead=True, follower=follower)
        self._worth.note(claimed.dependents, failed=not done)
        if not done:
            self._record.holding(())
            return None
        crash_point("after-commit")
        self._executor.hooks.note(claimed, "completed", result=handled.result)
        return Completed(claimed.run_id, claimed.dependents), follower.claimed

    def _is_worth_it(self, claimed: Claimed) -> bool:
        armed = is_armed("after-fence") or is_armed("handed-on")
        like_it = self._executor.begins_at_once(claimed)
        return like_it and not armed and self._worth.is_worth_it(claimed.dependents)

    def after(self, handed_on: list[Claimed], completed: Completed) -> Claimed | None:
        """Claim what a completion has released, before its commit; put it into `handed_on`."""
        if completed.recount or completed.undecided or len(completed.released) != 1:
            return None
        ((job_id, number, queue, _),) = completed.released
        if queue not in self._consumer.queues:
            return None
        self._record.holding([(UUID(job_id), number)])
        found = self._store.claim_released(job_id, number)
        handed_on += [found] if found else []
        crash_point("handed-on")
        return found
