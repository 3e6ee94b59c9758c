"""Jobs that this worker cannot make: of a class that it does not know, or made by a newer version.

While hosts are brought up to date one after the other, an old worker meets jobs of new classes.
It gives them back for a while, without spending their retries. Who dispatched the job knew the
class, so that it is worth some waiting; but where nobody seems to know it, the job is failed.
"""

import logging
import os

from headrace.store.attempts import CAN, AttemptStore, Claimed
from headrace.store.database import Transaction

log = logging.getLogger("headrace.worker")

# Seconds before the next worker tries: a minute in all. Tests may make them shorter.
WAITS_S = [
    float(wait)
    for wait in os.environ.get("HEADRACE_UNKNOWN_CLASS_WAITS_S", "1,2,4,8,15,30").split(",")
]


def given_back(tx: Transaction, claimed: Claimed, error: str) -> bool:
    """Give an attempt back that this worker cannot make; False where that was done often enough.

    The attempt may be over, too: whoever records its failure then will find that out.
    """
    row = tx.row(
        "give_back_attempt",
        id=claimed.id,
        attempt=claimed.attempt,
        waits_s=WAITS_S,
        error=error,
    )
    if row is None:
        log.warning("job %s: no worker seems to know it: %s", claimed.id, error)
    else:
        log.warning(
            "job %s is returned until %s, for a worker that knows its class: %s",
            claimed.id, f"{row['next_retry_time']:%H:%M:%S}", error,
        )  # fmt: skip
    return row is not None


def say_if_too_new(store: AttemptStore, job_id: str, attempt: int) -> None:
    """Say so where a job could not be claimed because it asks for what newer workers know.

    Its message is dropped: the daemon's sweep sends it again, so that workers which cannot take it
    pass it on every few seconds, and not all the time.
    """
    for row in store.rows("too_new", id=job_id, attempt=attempt, can=CAN):
        log.warning(
            "job %s needs a worker of schema version %04d or later, this one is of %04d;"
            " it is left to a newer worker",
            job_id, row["needs"], CAN,
        )  # fmt: skip
