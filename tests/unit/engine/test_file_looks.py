"""What is made of files that cannot be read, and of results that cannot be used."""

import os
from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.defaults import Defaults
from headrace.declarations.load import load_folder
from headrace.engine.catalog import checked_files
from headrace.engine.catalog.checked_files import CheckedFiles, content_of, is_as_it_was
from headrace.engine.catalog.job_registry import registry_of
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.catalog.result_cache import ResultCache, _line
from headrace.engine.explain import checking_processes
from headrace.engine.explain.sql_check import SqlText
from headrace.engine.explain.static_findings import findings_of
from headrace.errors import JobFailure
from tests.unit.engine.test_checked_files import PLAIN, Project

KEY = "k" * 32


def test_what_is_remembered_in_another_form_is_found_anew(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, "a" * 32)
    cache.add_lines([_line("a" * 8 + KEY, "not a result"), _line("a" * 8 + "l" * 32, "[]")])

    assert cache.get(KEY) is None
    assert cache.get("l" * 32) == []


def test_a_home_that_cannot_be_looked_at_keeps_nothing(tmp_path: Path) -> None:
    for home, keeps in ((tmp_path / ("x" * 300), False), (tmp_path / "x", False), (tmp_path, True)):
        cache = ResultCache(home, "a" * 32)
        assert not cache.has_news(make_home=False)
        cache.put(KEY, 1)
        assert cache.has_news(make_home=False) == keeps


def test_a_file_is_new_until_it_was_read_and_one_that_cannot_be_read_is_none(
    tmp_path: Path,
) -> None:
    settings = Settings(tmp_path, tmp_path / "home", tmp_path)
    registry = registry_of(settings)
    checked, defaults = CheckedFiles(settings, registry), Defaults(registry, settings)
    path, folder = tmp_path / "plain.yaml", tmp_path / "folder.yaml"
    path.write_text(PLAIN)
    folder.mkdir()

    assert checked.is_new(path, defaults)
    checked.load(path, defaults)
    assert not checked.is_new(path, defaults)
    assert not checked.is_new(folder, defaults)


def test_what_a_long_lived_process_found_first_is_kept_for_the_next_one(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path / "home", tmp_path / "pipelines")
    settings.home.mkdir()
    settings.pipelines.mkdir()
    path = settings.pipelines / "plain.yaml"
    path.write_text(PLAIN)
    registry = registry_of(settings)

    assert list(Pipelines(settings, registry).by_name) == ["plain"]

    assert not CheckedFiles(settings, registry).is_new(path, Defaults(registry, settings))


@pytest.mark.parametrize(
    ("step", "column"),
    [
        ("{id: s, job: RunSql, with: {sql: SELECT 1; COMMIT}}", 38),
        ("{id: s, job: LoadFile, with: {path: ../a.csv, table: t}}", 41),
    ],
)
def test_what_is_found_is_placed_in_the_text_that_was_read_and_not_in_a_newer_one(
    tmp_path: Path, step: str, column: int
) -> None:
    project, registry = Project(tmp_path), registry_of(Settings(tmp_path, tmp_path, tmp_path))
    text = f"name: p\nsteps:\n  - {step}\n"
    path = project.write("pipelines/p.yaml", text)
    checked = CheckedFiles(project.settings, registry)
    loaded = load_folder(project.settings.pipelines, registry, project.settings, checked.load)
    path.write_text("# A line more.\n" + text)

    (problem,) = findings_of(loaded.pipelines, project.settings, registry, checked).problems

    assert (problem.line, problem.column) == (3, column)


def test_a_large_file_counts_as_changed_by_its_stamp_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked_files, "_MOST_READ_BYTES", 3)
    path = tmp_path / "large.sql"
    contents = {"abc": set[str | None](), "abcd": set[str | None]()}
    for text, found in contents.items():
        for moment in (1, 2):
            path.write_text(text)
            os.utime(path, (moment, moment))
            then = {str(path): content_of(str(path))}
            assert is_as_it_was(then)
            found.add(then[str(path)])

    assert [len(found) for found in contents.values()] == [1, 2]


def test_as_many_processes_look_as_this_one_may_use_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 3, 5}, raising=False)
    assert checking_processes._processors() == 3
    # macOS has none.
    monkeypatch.delattr(os, "sched_getaffinity")
    for known, count in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda known=known: known)
        assert checking_processes._processors() == count


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), ValueError("odd")])
def test_an_sql_file_that_cannot_be_read_is_told_by_its_name(error: Exception) -> None:
    class Reading:
        @staticmethod
        def source_of_file(_name: str) -> None:
            raise error

    with pytest.raises(JobFailure) as caught:
        SqlText.of_file(Reading, "a.sql")

    assert str(caught.value) == f"a.sql cannot be read: {error}"
