"""Jobs that this worker cannot make: of a class or with arguments that only other files know.

While hosts are brought up to date one after the other, an old worker meets jobs of new classes,
or of known classes with new parameters. It gives them back without spending their retries, as long
as a running worker of the queue has other job files. Whoever dispatched the job knew its class, so
an unknown class gets some time beyond that; then the job is failed.
"""

import logging
import os

from headrace.engine.attempts.outcome import Raised
from headrace.store.attempts import CAN, AttemptStore, Claimed
from headrace.store.database import Transaction

log = logging.getLogger("headrace.worker")

# Seconds before the next worker tries: a minute in all; the last one repeats while another worker
# may be able to make the job. Tests may make them shorter.
WAITS_S = [
    float(wait)
    for wait in os.environ.get("HEADRACE_UNKNOWN_CLASS_WAITS_S", "1,2,4,8,15,30").split(",")
]


# An hour and more: a worker that has other files, and never comes to take the job.
MOST_GIVEN_BACK = 150
# By which the statement finds the workers that could not make the job.
PREFIX = "this worker cannot make it: "
NOBODY = (
    "no running worker that serves its queue has other job files that could make it, or none of"
    " them has taken it"
)


def given_back(tx: Transaction, claimed: Claimed, why: Raised) -> bool:
    """Give an attempt back that this worker cannot make; False where nobody else may be able to.

    The attempt may be over, too: whoever records its failure then will find that out.
    """
    row = tx.row(
        "give_back_attempt",
        id=claimed.id,
        attempt=claimed.attempt,
        waits_s=WAITS_S,
        most=MOST_GIVEN_BACK,
        unknown="UnknownJobClass" in why.kinds,
        prefix=PREFIX,
        error=why.error,
    )
    if row is None:
        log.warning("job %s failed; %s: %s", claimed.id, NOBODY, why.error)
    else:
        log.warning(
            "job %s is returned until %s, for a worker with other job files: %s",
            claimed.id, f"{row['next_retry_time']:%H:%M:%S}", why.error,
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
