"""Adds ended jobs and runs to the totals of /metrics.

See docs/adr/0043-totals-of-ended-rows.md.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from headrace.model.buckets import BOUNDS_S
from headrace.store.database import Row, Transaction


def lock_totals(tx: Transaction) -> Row:
    """Keep everybody else from counting until this transaction ends; return up to where it is.

    `ahead` tells that PostgreSQL's clock was set back behind that time.
    """
    mark = tx.row("lock_totals")
    assert mark is not None
    return mark


def count_ended(tx: Transaction, mark: Row, *, until: datetime | None) -> None:
    """Count the jobs and runs that ended from the mark on, `until` None: all that are seen."""
    window = {"since": mark["until"], "until": until, "number": mark["number"]}
    tx.rows("count_jobs", **window, bounds=list(BOUNDS_S), ids=None)
    tx.rows("count_runs", **window, bounds=list(BOUNDS_S), ids=None)


def count_before_reopening(tx: Transaction, jobs: Sequence[Any], runs: Sequence[Any]) -> None:
    """Count those of these ended jobs and runs, and of the runs' handlers, that were not counted.

    In the transaction that reopens them: their end is gone afterwards.
    """
    mark = lock_totals(tx)
    handlers = tx.rows("handlers_to_reopen", runs=list(runs)) if runs else []
    window = {"since": mark["until"], "until": None, "number": mark["number"]}
    ended = [*jobs, *(row["id"] for row in handlers)]
    tx.rows("count_jobs", **window, bounds=list(BOUNDS_S), ids=ended)
    tx.rows("count_runs", **window, bounds=list(BOUNDS_S), ids=list(runs))
