"""Stores and logs the results of pipeline triggers."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from headrace.engine.scheduling.unmade_runs import tell_of_unmade
from headrace.model.plan import Plan
from headrace.plan.trigger_matching import Ended
from headrace.store.database import Transaction
from headrace.store.row_types import NewRun

log = logging.getLogger("headrace.daemon")


@dataclass(slots=True)
class TriggerResult:
    """Outcome for the upstream runs of one pipeline."""

    pipeline: str
    waiting: list[Ended]
    more: bool
    plans: dict[UUID, Plan] = field(default_factory=dict)
    used: list[dict[str, Any]] = field(default_factory=list)
    passed: int = 0
    unmade: list[dict[str, Any] | None] = field(default_factory=list)

    def use(
        self,
        runs: Iterable[Ended],
        outcome: str,
        run_id: UUID | None = None,
        error: str | None = None,
    ) -> None:
        """Note that runs are used up: a row each for `note_triggered`."""
        self.used += [
            {
                "pipeline": self.pipeline,
                "upstream_run": str(one.run),
                "outcome": outcome,
                "run_id": str(run_id) if run_id else None,
                "error": error,
            }
            for one in runs
        ]

    @property
    def seen(self) -> frozenset[tuple[UUID, datetime]]:
        """Return the runs that still wait, as `look` sees them."""
        return frozenset((one.run, one.finished_at) for one in self.waiting)


def note(tx: Transaction, results: Sequence[TriggerResult], visible_until: datetime) -> None:
    """Store what was decided."""
    used = [row for one in results for row in one.used]
    if used:
        tx.rows("note_triggered", used=json.dumps(used))
    tell_of_unmade(tx, [failure for one in results for failure in one.unmade])
    passed = [{"pipeline": one.pipeline, "runs": one.passed} for one in results if one.passed]
    if passed:
        tx.rows("note_passed_over", passed=json.dumps(passed))
    waiting = [
        {
            "pipeline": one.pipeline,
            "waiting": {held.pipeline: held.finished_at.isoformat() for held in one.waiting},
        }
        for one in results
        if not one.more
    ]
    if waiting:
        tx.rows("advance_triggers", done=json.dumps(waiting), visible_until=visible_until)


def log_results(runs: Iterable[NewRun], results: Iterable[TriggerResult]) -> None:
    """Log what was started, and what could not be."""
    for run in runs:
        log.info(
            "run %s of %s %s (triggered, for %s)%s",
            run["id"],
            run["pipeline"],
            "started" if run["status"] == "running" else run["status"],
            run["logical_date"].isoformat(),
            f": {run['error']}" if run["error"] else "",
        )
    for one in results:
        for row in one.used:
            if row["error"]:
                log.error(
                    "%s: the run after %s cannot start: %s",
                    one.pipeline,
                    row["upstream_run"],
                    row["error"],
                )
