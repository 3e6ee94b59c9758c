"""When pipelines start next, asked for again after each edit."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.engine.scheduling import scheduler
from headrace.engine.scheduling.scheduler import Scheduler
from headrace.model.pipeline import Pipeline, Schedule

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
    compute = scheduler.next_start

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
