"""What a job sees of its run while it is previewed, and what it is refused."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace import jobapi
from headrace.declarations.config import Settings
from headrace.engine.explain.sql_preview import NoDatabase, entered, of_attempt
from headrace.errors import JobFailure
from headrace.jobapi import Permissions
from headrace.jobapi.attempt_sessions import Sessions
from headrace.model.connection import NamedConnection
from headrace.model.pipeline import Pipeline
from headrace.template.written import place_of, remember_text

PIPELINE = Pipeline("p", "p.yaml", "/project/pipelines/deep", "1", ())
NIGHT = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        tmp_path,
        tmp_path,
        tmp_path / "pipelines",
        connections={
            "till": NamedConnection("sqlite:////x.db"),
            "dwh": NamedConnection("postgresql://h/d"),
        },
        shell_commands=True,
        allowed_hosts=("api.example.com",),
        storage={"lake": {"url": "s3://bucket"}},
    )


def seen() -> dict[str, Any]:
    """What the job that is entered sees."""
    found = jobapi.current()
    names = ("job_id", "attempt", "project", "folders", "pipeline", "step", "permissions")
    return {name: getattr(found, name) for name in names}


def test_a_job_that_is_looked_at_sees_its_step_its_folders_and_its_rights(
    settings: Settings, tmp_path: Path
) -> None:
    planned: Any = SimpleNamespace(step="load")
    plan: Any = SimpleNamespace(
        folder=PIPELINE.folder, pipeline="p", logical_date=NIGHT, timezone="Asia/Tokyo"
    )
    expected = {
        "job_id": None,
        "attempt": 1,
        "project": tmp_path,
        "folders": settings.folders(PIPELINE.folder),
        "pipeline": "p",
        "step": "load",
        "permissions": Permissions(True, ("api.example.com",), {"lake": {"url": "s3://bucket"}}),
    }

    with entered(PIPELINE, "load", settings):
        assert seen() == expected
        now = jobapi.current().logical_date
        assert now is not None
        assert now.tzinfo is UTC
    with of_attempt(planned, plan, settings):
        assert seen() == expected
        due = jobapi.current().logical_date
        assert due is not None
        assert due.isoformat() == "2026-03-02T08:30:00+09:00"
    with pytest.raises(JobFailure, match="no job is running here"):
        jobapi.current()


def test_a_preview_has_the_kind_of_each_database_and_no_session(settings: Settings) -> None:
    with entered(PIPELINE, "load", settings):
        found: Any = jobapi.current().sessions
        assert [found.kind_of(name) for name in (None, "dwh", "till", "gone")] == [
            "postgresql",
            "postgresql",
            "sqlite",
            "postgresql",
        ]
        asked = {name for name in vars(Sessions) if not name.startswith("_")} - {"kind_of"}
        assert "session" in asked
        for name in asked:
            with pytest.raises(NoDatabase, match=r"^a preview has no database$"):
                getattr(found, name)("given", named=1)


def test_with_sessions_it_has_those(settings: Settings) -> None:
    planned: Any = SimpleNamespace(step="load")
    plan: Any = SimpleNamespace(
        folder=PIPELINE.folder, pipeline="p", logical_date=NIGHT, timezone="UTC"
    )
    given: Any = object()
    with of_attempt(planned, plan, settings, given):
        assert jobapi.current().sessions is given


def test_a_line_of_a_steps_sql_is_not_taken_for_one_of_the_step_before(settings: Settings) -> None:
    with entered(PIPELINE, "first", settings):
        remember_text("sql", "select x")
        assert place_of("select x") == "sql:1"
    with entered(PIPELINE, "second", settings):
        assert place_of("select x") is None
