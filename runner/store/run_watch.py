"""Follows a run by what changes in it, so that a look at many thousand jobs reads a few."""

from datetime import datetime
from typing import Any
from uuid import UUID

from headrace.model.status import RUN_FINAL
from headrace.store.database import Row, Transaction


def moment(database: Transaction) -> datetime:
    """Return from when on changes are missing in what is read next.

    A change that is committed later has a later time, whatever its transaction has waited for.
    """
    row = database.row("visible_until")
    assert row is not None
    found: datetime = row["visible_until"]
    return found


class RunWatch:
    """A run and its jobs as they were at the last look."""

    def __init__(self, database: Transaction, run_id: UUID | str) -> None:
        self._database = database
        self._run_id = run_id
        self._since: datetime | None = None
        self.jobs: dict[str, dict[str, Any]] = {}

    def look(self) -> Row | None:
        """Return the run's row; its `jobs` are those that may have changed. None: it was deleted.

        The first look and the one that finds the run's end have all jobs.
        """
        seen = moment(self._database)
        row = self._read(self._since)
        if row is not None and row["status"] in RUN_FINAL and self._since is not None:
            # Whatever a clock that was set back has hidden.
            row = self._read(None)
        if row is not None:
            self.jobs.update((job["id"], job) for job in row["jobs"])
            self._since = seen
        return row

    def _read(self, since: datetime | None) -> Row | None:
        return self._database.row("run_progress", id=self._run_id, since=since)
