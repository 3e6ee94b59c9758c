"""Ended runs with their jobs and attempts, as they are sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from headrace.store.database import Row, Transaction


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job and those of its attempts that did not complete it, in their order."""

    row: Row
    attempts: list[Row] = field(default_factory=list)

    def tries(self) -> Iterator[Row]:
        """Yield all attempts, also the one that has completed the job."""
        yield from self.attempts
        if self.row["status"] == "completed" and self.row["started_at"] is not None:
            taken = ("attempt", "worker", "started_at", "finished_at")
            yield {name: self.row[name] for name in taken} | {"outcome": "completed", "error": None}


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run and its jobs, in the order of their making."""

    row: Row
    jobs: list[EndedJob] = field(default_factory=list)


def runs_to_export(tx: Transaction, receiver: str, limit: int) -> Sequence[EndedRun]:
    """Return the next ended runs that a receiver has not got, the earliest end first."""
    runs = {row["id"]: EndedRun(row) for row in tx.rows(
        "runs_to_export", receiver=receiver, limit=limit
    )}  # fmt: skip
    if not runs:
        return []
    jobs: dict[UUID, EndedJob] = {}
    for row in tx.rows("jobs_to_export", runs=list(runs)):
        jobs[row["id"]] = EndedJob(row)
        runs[row["run_id"]].jobs.append(jobs[row["id"]])
    for row in tx.rows("attempts_to_export", runs=list(runs)):
        if row["job_id"] in jobs:
            jobs[row["job_id"]].attempts.append(row)
    return list(runs.values())


def attributes(row: Row, **names: str) -> dict[str, Any]:
    """Return the columns that have a value, by the names that they get: `id="headrace.job.id"`."""
    found = {name: row[column] for column, name in names.items()}
    return {
        name: value if isinstance(value, str | int) else _text(value)
        for name, value in found.items()
        if value is not None
    }


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
