"""Hot reload of the files that calendars name."""

from datetime import date
from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.pipeline_catalog import Pipelines

PIPELINE = """\
name: {name}
schedule: {{cron: "@daily", calendar: {{days: holidays, file: days.txt}}}}
steps:
  - {{id: only, job: FailedJob}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pipelines"
    (folder / "sales").mkdir(parents=True)
    (folder / "sales" / "p.yaml").write_text(PIPELINE.format(name="p"))
    (folder / "days.txt").write_text("2026-12-24\n")
    (folder / "plain.yaml").write_text("name: plain\nsteps:\n  - {id: only, job: FailedJob}\n")
    return folder


@pytest.fixture
def pipelines(tmp_path: Path, folder: Path) -> Pipelines:
    made = Pipelines(Settings(tmp_path, tmp_path, folder), Registry())
    made.refresh()
    return made


def dates(pipelines: Pipelines) -> tuple[date, ...]:
    calendar = pipelines.get("p").schedules[0].calendar
    assert calendar is not None
    return calendar.dates


def test_an_edited_calendar_takes_effect_for_the_pipelines_that_use_it(pipelines, folder):
    before, plain = pipelines.get("p"), pipelines.get("plain")
    assert not pipelines.refresh()

    (folder / "days.txt").write_text("2026-12-24\n2026-12-31\n")

    assert pipelines.refresh()
    assert dates(pipelines) == (date(2026, 12, 24), date(2026, 12, 31))
    assert pipelines.get("p").version != before.version
    assert pipelines.get("plain") is plain
    assert not pipelines.refresh()


def test_a_broken_calendar_keeps_what_is_in_force_and_shows_its_problem(pipelines, folder):
    (folder / "days.txt").write_text("24.12.2026\n")

    assert pipelines.refresh()

    assert dates(pipelines) == (date(2026, 12, 24),)
    assert [problem.code for problem in pipelines.problems] == ["bad-date"]
    assert not pipelines.refresh()

    (folder / "days.txt").write_text("2026-12-25\n")
    assert pipelines.refresh()
    assert dates(pipelines) == (date(2026, 12, 25),)
    assert pipelines.problems == []


def test_a_removed_calendar_keeps_what_is_in_force_until_it_is_back(pipelines, folder):
    (folder / "days.txt").unlink()
    assert pipelines.refresh()
    assert dates(pipelines) == (date(2026, 12, 24),)
    assert [problem.code for problem in pipelines.problems] == ["missing-file"]

    (folder / "days.txt").write_text("2026-12-26\n")
    assert pipelines.refresh()
    assert dates(pipelines) == (date(2026, 12, 26),)


def test_a_nearer_calendar_takes_effect_when_it_is_added(pipelines, folder):
    (folder / "sales" / "days.txt").write_text("2027-01-04\n")

    assert pipelines.refresh()

    assert dates(pipelines) == (date(2027, 1, 4),)
