"""Reads the outcome of the run for which a step has waited."""

from typing import Any
from uuid import UUID

from headrace.errors import ChildRunFailed
from headrace.store import queries
from headrace.store.attempts import AttemptStore

_ENDED = {"failed": "has failed", "cancelled": "was cancelled", "skipped": "was skipped"}


def child_result(store: AttemptStore, job_id: UUID) -> dict[str, Any]:
    """Return the result of a step whose run was completed.

    Raises:
        ChildRunFailed: The run has ended otherwise.
    """
    run = store.row(queries.CHILD_OF_JOB, id=job_id)
    if run is None:
        raise ChildRunFailed("the run that the step waited for was deleted")
    if run["status"] == "completed":
        return {"run": str(run["id"]), "status": run["status"]}
    named = f"run {run['id']} of {run['pipeline']}"
    if run["status"] not in _ENDED:
        # Somebody has retried it before any worker came to look.
        raise ChildRunFailed(f"{named} is {run['status']} again; retry this step to wait for it")
    why = f": {run['error']}" if run["error"] else ""
    raise ChildRunFailed(f"{named} {_ENDED[run['status']]}{why}")
