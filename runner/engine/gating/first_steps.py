"""Decides the first steps of new runs that are not simply queued."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.engine.gating.gate import decide
from headrace.engine.gating.run_completion import Within, finish_runs
from headrace.queue.message import Message
from headrace.store.database import Transaction
from headrace.store.row_types import NewRun


def decide_roots(
    tx: Transaction, runs: Sequence[NewRun], jobs: Sequence[Mapping[str, Any]]
) -> list[Message]:
    """Decide first steps that have a condition; runs of which nothing is left are finished."""
    running = {str(run["id"]): run["id"] for run in runs if run["status"] == "running"}
    jobs = [job for job in jobs if not job["handler"]]
    with_jobs = {job["run_id"] for job in jobs}
    ended = {running[run_id] for run_id in running.keys() - with_jobs}
    messages: list[Message] = []
    roots = [job["id"] for job in jobs if job["held"] and job["run_id"] in running]
    if roots:
        messages, decided = decide(tx, roots)
        ended |= decided
    return messages + finish_runs(Within(tx), ended)[1]
