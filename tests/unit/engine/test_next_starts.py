"""When pipelines start next, asked for again after each edit."""

import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.engine.scheduling import schedule_starts, scheduler
from headrace.engine.scheduling.scheduler import Scheduler, _Progress
from headrace.model.buckets import BOUNDS_S
from headrace.model.pipeline import Pipeline, Schedule
from tests.support.fake_database import FakeDatabase

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def pipeline(name: str, cron: str, end: datetime | None = None) -> Pipeline:
    schedules = (Schedule(cron=cron, end=end),)
    return Pipeline(name, f"{name}.yaml", "/p", "1", steps=(), schedules=schedules)


class Stored:
    """What the database remembers of schedules: nothing."""

    def rows(self, *_: Any, **__: Any) -> list[Any]:
        return []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pipelines whose next start was computed."""
    names: list[str] = []
    compute = schedule_starts.next_start

    def noted(pipeline: Pipeline, after: datetime) -> datetime | None:
        names.append(pipeline.name)
        return compute(pipeline, after)

    monkeypatch.setattr(scheduler, "next_start", noted)
    return names


def test_an_edit_has_only_the_start_of_its_own_pipeline_computed_anew(asked: list[str]):
    files: Any = SimpleNamespace(by_name={}, held={})
    stored: Any = Stored()
    none: Any = None
    its = Scheduler(stored, none, files, none)
    files.by_name = {
        "hourly": pipeline("hourly", "0 * * * *"),
        "daily": pipeline("daily", "0 6 * * *"),
        "over": pipeline("over", "0 6 * * *", end=NOON),
    }
    its.refresh(NOON)
    assert sorted(asked) == ["daily", "hourly", "over"]
    asked.clear()

    files.by_name = {**files.by_name, "hourly": pipeline("hourly", "30 * * * *")}
    its.refresh(NOON + timedelta(minutes=1))
    assert asked == ["hourly"]
    assert its.next_due() == NOON + timedelta(minutes=30)
    asked.clear()

    its.refresh(NOON + timedelta(minutes=31))
    assert asked == ["hourly"]
    assert its.next_due() == NOON + timedelta(minutes=90)
    asked.clear()

    its.refresh(NOON - timedelta(hours=1))  # The clock was set back.
    assert sorted(asked) == ["daily", "hourly", "over"]
    asked.clear()

    its.refresh(NOON + timedelta(days=2))
    assert sorted(asked) == ["daily", "hourly", "over"]


def test_how_late_runs_have_started_is_counted_from_when_they_were_to_start() -> None:
    tx = FakeDatabase()
    of: Any = tx
    late, early = NOON - timedelta(seconds=90), NOON + timedelta(seconds=5)
    progress = [
        _Progress("a", [], 0, NOON, None, {NOON: late}),
        _Progress("b", [], 0, NOON, None, {NOON: early}),
    ]
    runs: list[Any] = [{"pipeline": name, "logical_date": NOON} for name in ("a", "b")]

    scheduler._observe_lag(of, runs, progress, NOON)
    scheduler._observe_lag(of, [], progress, NOON)

    assert tx.values_of("add_observations") == [
        {"name": "schedule_lag", "values": [90.0, 0.0], "bounds": list(BOUNDS_S)}
    ]


def test_what_is_stored_of_a_schedule_has_no_next_instant_where_there_is_none() -> None:
    entry = {"pipeline": "a", "seen_until": NOON.isoformat(), "next_instant": None, "skipped": 2}
    assert _Progress("a", [], 2, NOON, None).entry() == entry
    assert _Progress("a", [], 2, NOON, NOON).entry() == entry | {"next_instant": NOON.isoformat()}


def test_a_started_run_is_logged_with_what_became_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run: Any = {"id": "r1", "pipeline": "p", "logical_date": NOON, "error": None}
    for more in ({"status": "running"}, {"status": "skipped", "error": "one is under way"}):
        scheduler._log_start(run | more)
    assert caplog.messages == [
        "run r1 of p started (due 2026-05-04T12:00:00+00:00)",
        "run r1 of p skipped (due 2026-05-04T12:00:00+00:00): one is under way",
    ]


def test_a_tick_is_due_by_the_earliest_start_or_where_files_were_not_taken_over() -> None:
    files: Any = SimpleNamespace(by_name={"hourly": pipeline("hourly", "0 * * * *")}, held={})
    stored: Any = Stored()
    none: Any = None
    its = Scheduler(stored, none, files, none)
    assert its.is_due(NOON), "it knows nothing yet"
    assert its.next_due() is None
    its.refresh(NOON)
    hour = NOON + timedelta(hours=1)
    assert [its.is_due(hour - timedelta(seconds=1)), its.is_due(hour)] == [False, True]
    files.by_name = {}
    its.refresh(NOON)
    assert not its.is_due(hour)
