"""What was found in pipeline files is remembered, and holds only while nothing has changed."""

import dataclasses
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.declarations import one_file
from headrace.declarations.config import Settings
from headrace.declarations.load import load_folder
from headrace.engine.catalog import checked_files, surroundings
from headrace.engine.catalog.checked_files import CheckedFiles
from headrace.engine.catalog.job_registry import registry_of
from headrace.engine.catalog.result_form import as_text, from_text
from headrace.engine.explain import dry_run
from headrace.engine.explain.static_findings import Findings, findings_of
from headrace.model.connection import NamedConnection
from headrace.model.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[3]
PLAIN = "name: plain\nsteps:\n  - {id: n, job: Fibonacci, with: {n: 10}}\n"
SQL = "name: sql\nsteps:\n  - {id: s, job: RunSql, with: {sql_path: total.sql}}\n"
HOLIDAYS = """\
name: holidays
schedule: {cron: "0 6 * * *", calendar: {days: working, file: days.txt}}
steps: [{id: n, job: Fibonacci, with: {n: 1}}]
"""


class Project:
    """A folder with pipelines, looked at as a new process would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(folder, folder / "home", folder / "pipelines")
        self.settings.pipelines.mkdir(exist_ok=True)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def look(self) -> tuple[dict[str, Pipeline], Findings]:
        registry = registry_of(self.settings)
        checked = CheckedFiles(self.settings, registry)
        loaded = load_folder(self.settings.pipelines, registry, self.settings, checked.load)
        found = findings_of(loaded.pipelines, self.settings, registry, checked)
        checked.save(make_home=True)
        return loaded.pipelines, Findings([*loaded.problems, *found.problems], found.refused)

    @property
    def lines(self) -> Path:
        return self.settings.home / "cache" / "checked.lines"


class Work:
    """Names of the files that were read by the rules, and of the pipelines that were tried."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.tried: list[str] = []

    def done(self) -> tuple[list[str], list[str]]:
        done = sorted(self.read), sorted(self.tried)
        self.read.clear()
        self.tried.clear()
        return done


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()
    load_text, rehearse = one_file.load_text, dry_run.rehearse

    def load(content: bytes, path: Path, *rest: Any) -> Any:
        work.read.append(path.stem)
        return load_text(content, path, *rest)

    def tried(pipelines: list[Pipeline], *rest: Any) -> Any:
        work.tried += [one.name for one in pipelines]
        return rehearse(pipelines, *rest)

    monkeypatch.setattr(one_file, "load_text", load)
    monkeypatch.setattr(dry_run, "rehearse", tried)
    return work


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write("pipelines/plain.yaml", PLAIN)
    project.write("pipelines/sql.yaml", SQL)
    project.write("pipelines/total.sql", "SELECT 1")
    project.write("pipelines/holidays.yaml", HOLIDAYS)
    project.write("pipelines/days.txt", "2026-12-24\n")
    return project


def test_what_finds_nothing_new_looks_once_at_all_that_may_decide(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    looks: list[str] = []

    def looked(*given: Any) -> str:
        looks.append(surroundings.surroundings(*given))
        return looks[-1]

    monkeypatch.setattr(checked_files, "surroundings", looked)
    project.look()
    assert len(looks) == 2, "before and after what is kept"

    project.look()

    assert len(looks) == 3
    assert len(set(looks)) == 1


ALL = (["holidays", "plain", "sql"], ["holidays", "plain", "sql"])


def test_what_has_not_changed_is_not_read_again(project: Project, work: Work):
    first = project.look()
    assert work.done() == ALL

    assert project.look() == first
    assert work.done() == ([], [])


def test_an_edited_file_alone_is_read_again(project: Project, work: Work):
    project.look()
    work.done()
    project.write("pipelines/plain.yaml", PLAIN.replace("10", "11"))

    pipelines, _ = project.look()

    assert pipelines["plain"].steps[0].with_ == {"n": 11}
    assert work.done() == (["plain"], ["plain"])


def test_a_changed_sql_file_is_tried_again(project: Project, work: Work):
    project.look()
    work.done()
    project.write("pipelines/total.sql", "SELECT {{ params.none }}")

    _, found = project.look()

    assert found.refused == {"sql"}
    assert work.done() == ([], ["sql"])


def test_a_file_that_comes_before_the_one_that_was_found_counts(project: Project, work: Work):
    (project.settings.pipelines / "total.sql").unlink()
    project.write("pipelines/sql/total.sql", "SELECT 1")
    assert project.look()[1].refused == set()
    work.done()
    project.write("pipelines/total.sql", "SELECT {{ params.none }}")

    assert project.look()[1].refused == {"sql"}


def test_a_changed_calendar_is_read_again(project: Project, work: Work):
    project.look()
    work.done()
    project.write("pipelines/days.txt", "2026-12-31\n")

    calendar = project.look()[0]["holidays"].schedules[0].calendar

    assert calendar is not None
    assert [str(day) for day in calendar.dates] == ["2026-12-31"]
    assert work.done()[0] == ["holidays"]


def test_new_defaults_of_the_folder_are_read(project: Project, work: Work):
    project.look()
    work.done()
    project.write("pipelines/_defaults.yaml", "timeout: 7s\n")

    assert project.look()[0]["plain"].steps[0].timeout_s == 7
    assert work.done() == ALL


def test_other_settings_are_another_matter(project: Project, work: Work):
    project.look()
    work.done()
    project.settings = replace(
        project.settings, connections={"a": NamedConnection("postgresql://h/d")}
    )
    project.look()
    assert work.done() == ALL
    project.settings = replace(
        project.settings, connections={"a": NamedConnection("sqlite:////tmp/d")}
    )
    project.look()
    assert work.done() == ALL

    project.settings = replace(project.settings, database_url="postgresql://h/d", port=1)
    project.look()
    assert work.done() == ([], [])


def test_another_version_reads_everything_again(
    project: Project, work: Work, monkeypatch: pytest.MonkeyPatch
):
    project.look()
    work.done()
    monkeypatch.setattr(surroundings, "__version__", "99")

    project.look()

    assert work.done() == ALL


def test_what_damaged_lines_held_is_found_anew(project: Project, work: Work):
    first = project.look()
    work.done()
    text = project.lines.read_text()
    at = text.index('"n":10')
    project.lines.write_text(text[:at] + '"n":99' + text[at + 6 :])

    assert project.look() == first
    assert "plain" in work.done()[0]

    project.lines.write_bytes(os.urandom(2000) + b"\n" + project.lines.read_bytes()[:700])
    assert project.look() == first


@pytest.mark.parametrize("place", ["cache/checked.lines", "cache", ""])
def test_what_others_can_write_is_not_believed(project: Project, work: Work, place: str):
    first = project.look()
    work.done()
    path = project.settings.home / place
    path.chmod(path.stat().st_mode | 0o020)

    assert project.look() == first
    assert work.done() == ALL


def test_without_a_home_to_write_to_everything_is_read(project: Project, work: Work):
    project.settings.home.write_text("a file where the home would be")

    first = project.look()

    assert project.look() == first
    assert work.done() == (sorted(ALL[0] * 2), sorted(ALL[1] * 2))


def test_files_with_problems_are_told_of_each_time(project: Project):
    project.write(
        "pipelines/wrong.yaml", PLAIN.replace("plain", "wrong").replace("Fibonacci", "Fibonaci")
    )
    first = project.look()[1]

    assert [one.code for one in first.problems] == ["unknown-job"]
    assert project.look()[1] == first


def test_warnings_are_remembered(project: Project, work: Work):
    project.write("pipelines/total.sql", "DELETE FROM public.t")
    first = project.look()[1]
    assert [one.code for one in first.problems] == ["no-where"]
    work.done()

    assert project.look()[1] == first
    assert work.done() == ([], [])


def test_a_pipeline_that_runs_another_is_tried_with_it_each_time(project: Project, work: Work):
    project.write("pipelines/plain.yaml", "params: {n: {type: integer, default: 1}}\n" + PLAIN)
    project.write(
        "pipelines/outer.yaml",
        "name: outer\nsteps:\n  - {id: run, pipeline: plain, with: {n: 2}}\n",
    )
    first = project.look()
    work.done()

    assert project.look() == first
    assert work.done() == ([], ["outer"])


def test_examples_come_back_as_they_were_read(tmp_path: Path):
    for folder in ("pipelines", "tests/conformance/valid"):
        shutil.copytree(ROOT / folder, tmp_path / "pipelines", dirs_exist_ok=True)
    project = Project(tmp_path)
    pipelines, found = project.look()

    again, found_again = project.look()

    assert len(pipelines) > 20
    assert again == pipelines
    assert found_again == found
    for name, pipeline in pipelines.items():
        assert spelt(again[name]) == spelt(pipeline)


def spelt(value: Any) -> Any:
    """Return a value with the types of all that is in it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: spelt(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [spelt(one) for one in value]
    return type(value), getattr(value, "spelt", value)


def test_numbers_keep_their_spelling():
    from headrace.declarations.source import resolve

    for text in ("1.10", "0x1F", "1e5", "7", "0012"):
        assert spelt(from_text(as_text([resolve(text)]))) == spelt([resolve(text)])


def test_settings_that_do_not_count_are_not_asked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    asked: set[str] = set()
    get = Settings.__getattribute__

    def noted(self: Settings, name: str) -> Any:
        asked.add(name)
        return get(self, name)

    registry = registry_of(project.settings)
    checked = CheckedFiles(project.settings, registry)
    with monkeypatch.context() as patch:
        patch.setattr(Settings, "__getattribute__", noted)
        loaded = load_folder(project.settings.pipelines, registry, project.settings, checked.load)
        findings_of(loaded.pipelines, project.settings, registry, checked)

    assert "pipelines" in asked
    assert asked.isdisjoint(surroundings.WITHOUT_EFFECT)


def test_a_pipeline_that_was_not_read_here_is_looked_at_each_time(project: Project):
    checked = CheckedFiles(project.settings, registry_of(project.settings))
    elsewhere = Pipeline("p", "elsewhere.yaml", "/", "v", ())

    checked.remember(elsewhere, "findings", [], {})

    assert checked.found(elsewhere, "findings") is None
