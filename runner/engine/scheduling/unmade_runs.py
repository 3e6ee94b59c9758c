"""Tells of runs that could not be made: no row of them ends, and yet the night has failed."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from headrace.errors import HeadraceError
from headrace.errors.shortened import shortened
from headrace.model.notifications import FAILURE
from headrace.model.pipeline import Pipeline
from headrace.model.status import Trigger
from headrace.model.storable import fitted
from headrace.store.database import Transaction

_MOST_ERROR = 2000


def reason_of(error: Exception) -> str:
    """Return why a run was not made, as a row holds it."""
    # Of an error of the database, the first line: the statement follows it, and what it was given.
    told = str(error) if isinstance(error, HeadraceError) else str(error).partition("\n")[0]
    return fitted(shortened(told, _MOST_ERROR))


def unmade_run(
    pipeline: Pipeline, instant: datetime, trigger: Trigger, error: Exception
) -> dict[str, Any] | None:
    """Return a row for `tell_of_unmade`, None where nobody is to be told."""
    notify = pipeline.notify
    if notify is None or FAILURE not in notify.on:
        return None
    content = {
        "status": "failed",
        "trigger": trigger,
        "logical_date": instant.isoformat(),
        "error": reason_of(error),
    }
    return {"pipeline": pipeline.name, "receivers": list(notify.to), "content": content}


def tell_of_unmade(tx: Transaction, failures: Sequence[dict[str, Any] | None]) -> None:
    """Write notifications of failures, in the transaction that passes over the runs."""
    known = [failure for failure in failures if failure is not None]
    if known:
        tx.rows("add_notifications", failures=json.dumps(known))
