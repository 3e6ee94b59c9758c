"""How far the jobs have got that run, as their workers say in Redis."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from headrace.errors import QueueUnavailable
from headrace.model.status import JobStatus

if TYPE_CHECKING:
    from headrace.queue.sender import Sender


def with_progress(sender: "Sender", jobs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of jobs with `progress`: how far those that run have got, else None.

    While Redis is away nobody knows.
    """
    rows = [dict(job) for job in jobs]
    running = [str(row["id"]) for row in rows if row["status"] == JobStatus.STARTED]
    found: dict[str, dict[str, Any]] = {}
    if running:
        with suppress(QueueUnavailable):
            found = sender.progress_of(running)
    for row in rows:
        progress = found.get(str(row["id"]))
        is_of_it = progress is not None and progress["attempt"] == row["attempt"]
        row["progress"] = progress if is_of_it else None
    return rows
