"""What becomes of messages that were taken together, where some of their jobs were not claimed."""

from collections.abc import Sequence

from headrace.engine.workers.group_commit.batch import Batch
from headrace.queue.consumer import Consumer, Taken
from headrace.store.attempts import Claimed


def sort_out(
    consumer: Consumer, batch: Batch, taken: Sequence[Taken], claimed: Sequence[Claimed]
) -> None:
    """Put back messages whose jobs were left to others; drop the first if it is an old one.

    An old one among the others is the first, at the latest, when it comes again.
    """
    ours = {str(one.id) for one in claimed}
    first, *others = taken
    if first[0] not in ours:
        consumer.done(f"{first[0]}_{first[1]}")
    left = [one for one in others if one[0] not in ours]
    batch.taken(len(taken), left=len(left))
    if left:
        consumer.give_back(left)
