"""Records the ends of attempts that their child did not end: crashed, timed out, taken away."""

import logging
from collections.abc import Iterable

from headrace.engine.attempts.outcome import retry_in_s
from headrace.engine.gating.gate import (
    CRASH_BUDGET,
    after_loss,
    attempts_json,
    message_for,
    update_dependants,
    update_dependants_of_failed,
)
from headrace.engine.gating.run_completion import finish_runs
from headrace.observe.logs import about
from headrace.plan.error_kinds import TIMEOUT_KINDS
from headrace.queue.message import Message
from headrace.queue.worker_callbacks import Ended
from headrace.store import queries
from headrace.store.database import Database, Transaction
from headrace.store.row_types import LostJob

log = logging.getLogger("headrace.worker")


def end_attempt(database: Database, ended: Ended) -> list[Message]:
    """Record the end of an attempt, and return what its child had taken beside it.

    Returns messages to send.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    given_back = _return_held(database, ended)
    if ended.outcome == "taken_away":
        return given_back
    with database.transaction() as tx:
        if not ended.claimed:
            messages = _unclaimed(tx, ended.job_id, ended.attempt, ended.outcome, ended.error)
        elif ended.outcome == "timed_out":
            messages = _time_out(tx, ended)
        elif ended.outcome == "cancelled":
            rows = tx.rows(queries.CANCEL_JOBS, ids=[ended.job_id], run_id=None, keep_finally=False)
            messages = update_dependants(tx, [row["id"] for row in rows])
        else:
            lost = lose_attempts(tx, [(ended.job_id, ended.attempt)], ended.outcome, ended.error)
            messages = after_loss(tx, lost)
        of_job = tx.row("run_of_job", id=ended.job_id) or {}
    run_ids = [of_job["run_id"]] if of_job.get("run_id") else []
    messages += finish_runs(database, run_ids)[1]
    # The number in a message is that of the attempt before.
    which = f"attempt {ended.attempt}" if ended.claimed else f"before attempt {ended.attempt + 1}"
    log.warning(
        "job %s %s %s: %s",
        ended.job_id,
        which,
        ended.outcome,
        ended.error,
        extra=about(job_id=ended.job_id, attempt=ended.attempt, **of_job),
    )
    return given_back + messages


def messages_of(ended: Ended) -> list[str]:
    """Return the ids of the messages that a child had in hand; they bear the number before."""
    own = f"{ended.job_id}_{ended.attempt - 1 if ended.claimed else ended.attempt}"
    return [own, *(f"{job_id}_{number}" for job_id, number in ended.held)]


def lose_attempts(
    tx: Transaction, attempts: Iterable[tuple[object, int]], outcome: str, error: str
) -> list[LostJob]:
    """End attempts whose results are lost; `after_loss` goes on with the rows."""
    return tx.rows(
        queries.LOSE_ATTEMPTS,
        attempts=attempts_json(attempts),
        outcome=outcome,
        error=error,
        crash_budget=CRASH_BUDGET,
    )


def _return_held(database: Database, ended: Ended) -> list[Message]:
    """Queue again what the child held beside its job, which is not to blame for its end."""
    held = [(str(job_id), number) for job_id, number in ended.held]
    others = [one for one in held if one[0] != ended.job_id]
    if not others:
        return []
    error = "the worker process that had claimed it has ended"
    with database.transaction() as tx:
        return [
            message
            for job_id, number in others
            for message in _unclaimed(tx, job_id, number, "released", error)
        ]


def _unclaimed(
    tx: Transaction, job_id: str, number: int, outcome: str, error: str
) -> list[Message]:
    """The child died with a message in its hand: the claim may have happened or not."""
    rows = lose_attempts(tx, [(job_id, number + 1)], outcome, error)
    if rows:
        return after_loss(tx, rows)
    row = tx.row(queries.JOB, id=job_id)
    if row is None or row["status"] != "queued" or row["attempt"] != number:
        return []
    return [message_for(row)]


def _time_out(tx: Transaction, ended: Ended) -> list[Message]:
    """A timeout is the job's own failure: it is tried again within its retry budget."""
    row = tx.row(queries.JOB, id=ended.job_id)
    if row is None:
        return []
    error = f"timed out: the job ran longer than {row['timeout_s']:.15g} s and was stopped"
    failed = tx.row(
        queries.FAIL_ATTEMPT,
        id=ended.job_id,
        attempt=ended.attempt,
        outcome="timed_out",
        error=error,
        traceback=ended.traceback,
        retry_in=retry_in_s(row["retry"], row["retry_count"], TIMEOUT_KINDS, error),
    )
    return [] if failed is None else update_dependants_of_failed(tx, [failed])
