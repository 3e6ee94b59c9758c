"""Rows of runs and of their jobs, each with columns of one's choice."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from headrace.model.ids import new_id
from tests.support.rows import Rows

_RUN = {
    "pipeline": "p",
    "version": "1",
    "status": "running",
    "trigger": "manual",
    "logical_date": "2026-07-01",
    "plan": "{}",
}
_JOB = {
    "job_class": "tests.support.jobs_effects.NoopJob",
    "status": "waiting",
    "queue": "medium",
    "timeout_s": 60,
    "retry": json.dumps({"limit": 3}),
}


@dataclass
class RunRows:
    """Inserts them over `Rows`."""

    rows: Rows

    def run(self, **columns: Any) -> UUID:
        """Insert a run that runs, unless told otherwise; return its id."""
        return self._insert("run", {**_RUN, **columns})

    def job(self, run: UUID | None = None, status: str = "waiting", **columns: Any) -> UUID:
        """Insert a job of a run; return its id."""
        of_run: dict[str, Any] = {"run_id": None if run is None else str(run), "status": status}
        if status not in ("waiting", "queued", "skipped", "cancelled"):
            of_run |= {"started_at": "2026-07-01", "attempt": 1, "worker": "tests"}
        return self._insert("job", {**_JOB, **of_run, **columns})

    def below(self, job: UUID, *upstream: UUID) -> UUID:
        """Have a job wait for others."""
        for one in upstream:
            self.rows.sql(
                "INSERT INTO headrace.job_dependency VALUES (%(up)s, %(id)s);"
                "UPDATE headrace.job SET dependents = dependents + 1 WHERE id = %(up)s",
                up=str(one),
                id=str(job),
            )
        return job

    def of(self, table: str, row: UUID, *columns: str) -> Any:
        """Return columns of a row; of one column its value."""
        (found,) = self.rows.sql(
            f"SELECT {', '.join(columns)} FROM headrace.{table} WHERE id = %(id)s", id=str(row)
        )
        values = tuple(found[one] for one in columns)
        return values[0] if len(columns) == 1 else values

    def empty(self) -> None:
        """Remove all runs and jobs."""
        self.rows.sql("TRUNCATE headrace.run, headrace.job, headrace.job_dependency CASCADE")

    def _insert(self, table: str, columns: dict[str, Any]) -> UUID:
        row = UUID(str(columns.pop("id", new_id())))
        values = {"id": str(row), **columns}
        names = ", ".join(values)
        places = ", ".join(f"%({name})s" for name in values)
        self.rows.sql(f"INSERT INTO headrace.{table} ({names}) VALUES ({places})", **values)
        return row
