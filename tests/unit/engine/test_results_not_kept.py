"""What was found in files is not kept where something else may have decided about it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from headrace.declarations import one_file
from headrace.declarations.defaults import Defaults
from headrace.engine.catalog import checked_files, surroundings
from headrace.engine.catalog.checked_files import CheckedFiles
from headrace.engine.catalog.job_registry import registry_of
from headrace.engine.catalog.result_cache import ResultCache
from tests.unit.engine.test_checked_files import HOLIDAYS, PLAIN, Project

KEY = "k" * 32


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("pipelines/plain.yaml", PLAIN)
    return made


def is_kept(project: Project) -> bool:
    return project.lines.is_file() and bool(project.lines.read_text().strip())


@pytest.mark.parametrize("changed", [True, False])
def test_nothing_is_kept_that_was_found_while_what_decides_about_it_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch, changed: bool
):
    looks = iter(["before", "after" if changed else "before"])
    monkeypatch.setattr(checked_files, "surroundings", lambda *_: next(looks))

    project.look()

    assert next(looks, None) is None
    assert is_kept(project) is not changed


@pytest.mark.parametrize("changed", [True, False])
def test_a_pipeline_is_not_kept_whose_calendar_changed_after_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
):
    project = Project(tmp_path)
    project.write("pipelines/holidays.yaml", HOLIDAYS)
    project.write("pipelines/days.txt", "2026-12-24\n")
    registry = registry_of(project.settings)
    checked = CheckedFiles(project.settings, registry)
    read = one_file.load_text

    def load(*given: Any) -> Any:
        loaded = read(*given)
        if changed:
            project.write("pipelines/days.txt", "2026-12-24\n2026-12-31\n")
        return loaded

    monkeypatch.setattr(one_file, "load_text", load)
    defaults = Defaults(registry, project.settings)

    loaded = checked.load(project.settings.pipelines / "holidays.yaml", defaults)

    assert loaded.pipeline is not None
    assert bool(checked.new_lines()) is not changed


def test_a_module_that_is_loaded_later_is_looked_for_as_well(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    checked = CheckedFiles(project.settings, registry_of(project.settings))
    asked: list[bool] = []

    def foreign(*_: Any) -> bool:
        asked.append("of_nobody" in sys.modules)
        return asked[-1]

    monkeypatch.setattr(checked_files, "foreign_modules", foreign)
    assert [checked._foreign_modules() for _ in range(2)] == [False, False]
    monkeypatch.setitem(sys.modules, "of_nobody", ModuleType("of_nobody"))

    assert [checked._foreign_modules() for _ in range(2)] == [True, True]
    assert asked == [False, True], "it is asked once for each number of modules"


def test_lines_of_another_process_count_where_they_depend_on_the_same(tmp_path: Path):
    others = {group: ResultCache(tmp_path, group * 32) for group in "ab"}
    for group, cache in others.items():
        cache.put(KEY, group)
    own = ResultCache(tmp_path, "a" * 32)

    own.add_lines(others["b"].new_lines())
    assert own.get(KEY) is None
    own.add_lines(others["a"].new_lines())
    assert own.get(KEY) == "a"


@pytest.mark.parametrize("place", ["cache/checked.lines", "cache", ""])
def test_nothing_is_added_where_others_can_write(project: Project, place: str):
    project.look()
    before = project.lines.read_bytes()
    path = project.settings.home / place
    path.chmod(path.stat().st_mode | 0o002)
    project.write("pipelines/plain.yaml", PLAIN.replace("10", "11"))

    project.look()

    assert project.lines.read_bytes() == before


# -- what decides ---------------------------------------------------------------------


@dataclass
class Hidden:
    shown: int
    secret: str = field(repr=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ("a", "'a'"),
        (Path("/a"), "'/a'"),
        (1.5, "1.5"),
        ([Path("a"), 1], "['a',1]"),
        (("a", [Path("b")]), "['a',['b']]"),
        ({"b", "a"}, "{'a','b'}"),
        (frozenset({Path("b"), Path("a")}), "{'a','b'}"),
        ({"b": Path("c"), "a": {2, 1}}, "{'a':{1,2},'b':'c'}"),
        (Hidden(1, "s"), "Hidden{'secret':'s','shown':1}"),
        ([Hidden(1, "s")], "[Hidden{'secret':'s','shown':1}]"),
        (Hidden, repr(Hidden)),
    ],
)
def test_the_settings_count_with_all_that_is_in_them_in_any_order(value: Any, text: str):
    assert surroundings._text(value) == text


def test_of_a_folder_each_file_counts_but_for_what_python_keeps_there(tmp_path: Path):
    for name in ("a.py", "deep/b.py", "deep/er/c.sql", "__pycache__/a.pyc", "deep/__pycache__/b"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)

    def found() -> dict[str, Any]:
        return dict(surroundings._stamps_below(str(tmp_path)))

    before = found()
    assert sorted(before) == [
        f"{tmp_path}/{name}" for name in ("a.py", "deep/b.py", "deep/er/c.sql")
    ]
    (tmp_path / "deep/b.py").write_text("longer than it was")
    after = found()
    assert [name for name in before if before[name] != after[name]] == [f"{tmp_path}/deep/b.py"]
    assert list(surroundings._stamps_below(str(tmp_path / "gone"))) == []
    assert list(surroundings._stamps_below(str(tmp_path / "a.py"))) == []


@pytest.mark.parametrize(
    ("file", "foreign"),
    [("jobs/own.py", False), ("elsewhere.py", True), ("jobs.py", True), (None, False)],
)
def test_a_module_is_somebody_s_whose_file_lies_in_a_known_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch, file: str | None, foreign: bool
):
    registry: Any = type("Known", (), {"project_folders": [str(project.folder / "jobs")]})
    lone = ModuleType("lone")
    if file is not None:
        lone.__file__ = str(project.folder / file)
    monkeypatch.setattr(surroundings, "sys", _Loaded({"lone": lone}))

    assert surroundings.foreign_modules(project.settings, registry) is foreign


class _Loaded:
    """As `sys`, with these modules alone."""

    def __init__(self, modules: dict[str, ModuleType]) -> None:
        self.modules = modules
        self.path, self.prefix, self.base_prefix = sys.path, sys.prefix, sys.base_prefix
