"""The gate after an end without success, and after the ends that one statement cannot decide."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from headrace.engine.planning.template_context import holds
from headrace.errors import HeadraceError
from headrace.queue.message import Message
from headrace.store import queries
from headrace.store.database import Transaction
from headrace.store.row_types import DecidedJob, FailedJob, LostJob, QueuedJob, UpdatedDependant

# How many crashes of its worker a job may cause before it is failed for good.
CRASH_BUDGET = 3


def message_for(row: QueuedJob) -> Message:
    """Return the message that a queued row needs."""
    return Message(row["id"], row["attempt"], row["queue"], row["timeout_s"])


def update_dependants(tx: Transaction, upstream: Sequence[Any]) -> list[Message]:
    """Update everything below jobs that have ended, not all of them with success.

    Runs in the transaction in which they ended, after the statement that ended them: that
    statement holds their rows, so that no dependant can be added unseen. Returns the messages
    of dependants that run all the same, to send after the commit.
    """
    released: list[Message] = []
    while upstream:
        rows = tx.rows(queries.UPDATE_DEPENDANTS, upstream=list(upstream))
        released += [message_for(row) for row in rows if row["status"] == "queued"]
        released += _decide_open(tx, rows)
        upstream = [row["id"] for row in rows if row["status"] == "skipped"]
        if upstream:
            tx.rows("mark_skipped_finished", ids=upstream)
    return released


def recount_dependants(tx: Transaction, upstream: UUID) -> list[Message]:
    """Recount the dependants that were added while their upstream job was completing."""
    return recount(tx, [row["id"] for row in tx.rows(queries.LOCK_DEPENDANTS, upstream=upstream)])


def recount(tx: Transaction, ids: Sequence[Any]) -> list[Message]:
    """Decide waiting jobs by what they wait for as it is now; the caller holds their rows.

    Returns messages to send.
    """
    rows = tx.rows(queries.RECOUNT_WAITING, ids=list(ids)) if ids else []
    skipped = [row["id"] for row in rows if row["status"] == "skipped"]
    if skipped:
        tx.rows("mark_skipped_finished", ids=skipped)
    released = [message_for(row) for row in rows if row["status"] == "queued"]
    released += _decide_open(tx, rows)
    return released + update_dependants(tx, skipped)


def recount_stuck(tx: Transaction, older_than_s: float) -> list[Message]:
    """Decide jobs that wait for nothing unfinished and have been left like that.

    A worker may die between its commit and the recount that it owed; a job may be reopened
    while a job above it is completing. Returns messages to send.
    """
    stuck = tx.rows(queries.STUCK_JOBS, older_than_s=older_than_s)
    return recount(tx, [row["id"] for row in stuck])


def decide(
    tx: Transaction, ids: Iterable[str | UUID] | None = None
) -> tuple[list[Message], set[UUID]]:
    """Decide waiting jobs that wait for nothing any more; all of them without `ids`.

    Those are jobs with a condition or a pool, and those that the completing statement has left
    to a count of all that is above them. What passes and needs a slot of a pool is left to
    `assign_slots`. Returns messages to send and the runs to look at.
    """
    rows = tx.rows(queries.UNDECIDED_JOBS, ids=None if ids is None else list(ids))
    passed, unmet, failed = _judged(tx, [row["id"] for row in rows])
    released = [message_for(row) for row in _release(tx, passed) if row["status"] == "queued"]
    skipped = [
        row
        for reason, skipped_ids in unmet.items()
        for row in tx.rows(queries.SKIP_JOBS, ids=skipped_ids, reason=reason)
    ]
    released += update_dependants(tx, [row["id"] for row in skipped])
    released += update_dependants_of_failed(tx, failed)
    return released, {row["run_id"] for row in [*skipped, *failed] if row["run_id"] is not None}


def _judged(
    tx: Transaction, ids: Sequence[Any]
) -> tuple[list[Any], dict[str, list[Any]], list[FailedJob]]:
    """Return which jobs pass, which are skipped for which reason, and those failed by an error."""
    passed: list[Any] = []
    unmet: dict[str, list[Any]] = {}
    failed: list[FailedJob] = []
    for row in tx.rows("conditions", ids=list(ids)) if ids else []:
        verdict = row["verdict"]
        if verdict == "waiting":
            continue
        try:
            if verdict == "queued" and not holds(row):
                verdict = "condition"
        except (HeadraceError, ValueError) as error:
            failed += tx.rows(queries.FAIL_UNDECIDED, id=row["id"], error=str(error))
        else:
            (passed if verdict == "queued" else unmet.setdefault(verdict, [])).append(row["id"])
    return passed, unmet, failed


def _release(tx: Transaction, ids: list[Any]) -> list[DecidedJob]:
    return tx.rows(queries.RELEASE_JOBS, ids=ids) if ids else []


def _decide_open(tx: Transaction, rows: Iterable[UpdatedDependant]) -> list[Message]:
    """Decide those of some lowered rows that nothing but their condition keeps waiting."""
    undecided = [row["id"] for row in rows if row["status"] == "waiting" and not row["deps_left"]]
    return decide(tx, undecided)[0] if undecided else []


def update_dependants_of_failed(tx: Transaction, rows: Iterable[FailedJob]) -> list[Message]:
    """Update everything below those of some jobs that have failed for good."""
    return update_dependants(
        tx, [row["id"] for row in rows if row["status"] == "failed" and row["dependents"]]
    )


def after_loss(tx: Transaction, rows: Iterable[LostJob]) -> list[Message]:
    """Go on after `lose_attempts`: send what is queued again, update what is below the failed."""
    rows = list(rows)
    released = [message_for(row) for row in rows if row["status"] == "queued"]
    return released + update_dependants_of_failed(tx, rows)


def attempts_json(attempts: Iterable[tuple[Any, int]]) -> str:
    """Return (job id, attempt) pairs as the statements take them."""
    return json.dumps([{"id": str(job_id), "attempt": attempt} for job_id, attempt in attempts])
