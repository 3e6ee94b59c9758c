"""Lets a worker's parent collect a child's batch while one of its jobs runs."""

from headrace.engine.workers.group_commit.batch import Batch
from headrace.engine.workers.group_commit.shared_batch import SharedBatch
from headrace.queue.shared_memory import ChildRecord
from headrace.store.attempts import Claimed
from headrace.store.crash_points import crash_point

_PATIENCE_S = 0.08
"""What a job with a commit of its own may take longer: a slow disk holds none of them up."""


class Publishing:
    """Publishes the batch in shared memory, and withdraws it before anything is done with it."""

    def __init__(self, shared: SharedBatch, record: ChildRecord, batch: Batch) -> None:
        self._shared, self._record, self._batch = shared, record, batch
        self._published = False

    def publish(self, claimed: Claimed) -> None:
        """Let the parent collect the batch if the job at hand takes long.

        A child that is told to end leaves it there: its parent completes that, too.
        """
        if not self._batch:
            return
        self._published = True
        self._shared.publish(claimed.id, patience_s=0.0 if self._batch.ended else _PATIENCE_S)
        if not self._shared.polled:
            self._record.wake_parent()
        crash_point("published")

    def again(self) -> None:
        """Publish what is left in the middle of the same job."""
        self._shared.publish_again()
        self._published = True

    def withdraw(self) -> bool:
        """Withdraw the batch where it is published; False where the parent has collected it.

        It is forgotten then.
        """
        if not self._published:
            return True
        self._published = False
        own = not self._batch or self._shared.withdraw()
        if not own:
            self._batch.take_all()
            self._record.holding(())
        crash_point("withdrawn")
        return own
