"""The commands with which a completion hands on to the job that it releases."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.store.attempts import CAN, AttemptStore, Claimed
from headrace.store.log_lines import LogLines
from headrace.store.statements import STATEMENTS

_HAND_ON = (
    f"{STATEMENTS['complete_handing_on_or_refuse'].execute};"
    f" {STATEMENTS['claim_below_or_refuse'].execute}"
)
_READ = STATEMENTS["number_and_claimed"].execute


@dataclass(slots=True)
class Follower:
    """The job to which a completion hands on: `read` is the command that gives its row."""

    read: str
    row: Sequence[Any] = ()

    @property
    def claimed(self) -> Claimed | None:
        """The job, once it is read; None where it has been cancelled meanwhile."""
        return Claimed._make(self.row) if self.row and self.row[0] else None


def handing_on(
    store: AttemptStore,
    claimed: Claimed,
    result: str | None,
    log: LogLines | None,
    xact: str,
    queues: Collection[str],
) -> tuple[str, Follower]:
    """Return the commands that complete an attempt and claim its only dependant, or fail.

    As `AttemptStore.completing`, with what reads that job behind COMMIT. It is claimed if it is
    released by this alone, and stands on one of `queues`.

    Raises:
        StoreUnavailable: The connection broke since the claim.
    """
    assert claimed.below is not None
    next_id, number = claimed.below
    own = {"id": claimed.id, "attempt": claimed.attempt, "result": result, "xact": xact}
    next_one = {"next_id": next_id, "next_attempt": number, "queues": list(queues)}
    worker = {"worker": store.worker, "can": CAN}
    commands = store.written(_HAND_ON, {**own, **next_one, **worker}, log)
    return commands, Follower(store.written(_READ, {**next_one, **worker, "attempt": number + 1}))
