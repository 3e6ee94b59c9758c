"""What becomes of the decisions about triggers: rows, notifications, and what is logged."""

import json
import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.scheduling.trigger_results import TriggerResult, log_results, note
from headrace.engine.scheduling.unmade_runs import unmade_run
from headrace.model.notifications import Notify
from headrace.model.pipeline import Pipeline
from headrace.model.status import Trigger
from headrace.plan.trigger_matching import Ended
from tests.support.fake_database import FakeDatabase

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LOAD = Ended(NOON, UUID(int=1), "load")
SALES = Ended(NOON, UUID(int=2), "sales")


def stored(*results: TriggerResult) -> dict[str, Any]:
    """The statements that were sent, with their values as they were before they became JSON."""
    tx = FakeDatabase()
    note(tx, results, NOON)
    return {
        name: {
            key: json.loads(value) if isinstance(value, str) else value
            for key, value in values.items()
        }
        for name, values in tx.asked
    }


def test_all_that_was_decided_is_stored() -> None:
    result = TriggerResult("totals", [SALES], more=False)
    result.use([LOAD, SALES], "started", UUID(int=9))
    result.use([LOAD], "failed", error="no day")
    result.passed = 2
    result.unmade = [None, {"pipeline": "totals"}]
    busy = TriggerResult("busy", [LOAD], more=True)

    used = {"pipeline": "totals", "run_id": str(UUID(int=9)), "error": None, "outcome": "started"}
    assert stored(result, busy) == {
        "note_triggered": {
            "used": [
                {**used, "upstream_run": str(LOAD.run)},
                {**used, "upstream_run": str(SALES.run)},
                {
                    "pipeline": "totals",
                    "upstream_run": str(LOAD.run),
                    "outcome": "failed",
                    "run_id": None,
                    "error": "no day",
                },
            ]
        },
        "add_notifications": {"failures": [{"pipeline": "totals"}]},
        "note_passed_over": {"passed": [{"pipeline": "totals", "runs": 2}]},
        # Of one with more to decide the rest is read first.
        "advance_triggers": {
            "done": [{"pipeline": "totals", "waiting": {"sales": NOON.isoformat()}}],
            "visible_until": NOON,
        },
    }
    assert result.seen == {(SALES.run, NOON)}


def test_where_nothing_was_decided_nothing_is_sent() -> None:
    assert stored() == stored(TriggerResult("busy", [], more=True)) == {}


@pytest.mark.parametrize(
    ("notify", "told"),
    [
        (None, False),
        (Notify(("recovery", "late"), ("pager",)), False),
        (Notify(("failure",), ("pager", "post")), True),
    ],
)
def test_whoever_is_told_of_failures_is_told_of_a_run_that_cannot_be_made(
    notify: Notify | None, told: bool
) -> None:
    pipeline = Pipeline("p", "p.yaml", "/p", "1", (), notify=notify)
    expected = {
        "pipeline": "p",
        "receivers": ["pager", "post"],
        "content": {
            "status": "failed",
            "trigger": "schedule",
            "logical_date": "2026-05-04T12:00:00+00:00",
            "error": "no\ufffd" + "x" * 1996 + "…",
        },
    }
    error = ValueError("no\0" + "x" * 3000)
    row = unmade_run(pipeline, NOON, Trigger.SCHEDULE, error)
    assert row == (expected if told else None)


def test_what_was_started_and_what_could_not_be_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    run = {"id": "r1", "pipeline": "totals", "logical_date": NOON, "error": None}
    result = TriggerResult("totals", [], more=False)
    result.use([LOAD], "failed", error="no day")
    result.use([SALES], "expired")

    runs: list[Any] = [
        {**run, "status": "running"},
        {**run, "status": "queued"},
        {**run, "status": "skipped", "error": "one is under way"},
    ]
    log_results(runs, [result])

    whole = "(triggered, for 2026-05-04T12:00:00+00:00)"
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("INFO", f"run r1 of totals started {whole}"),
        ("INFO", f"run r1 of totals queued {whole}"),
        ("INFO", f"run r1 of totals skipped {whole}: one is under way"),
        ("ERROR", f"totals: the run after {LOAD.run} cannot start: no day"),
    ]
