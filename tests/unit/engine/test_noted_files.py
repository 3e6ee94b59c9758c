"""Every file that is read for a remembered result is one that the result is kept with."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.catalog.checked_files import CheckedFiles
from headrace.model.pipeline import Pipeline
from tests.unit.engine.test_checked_files import ROOT, Project

_opened: list[str] | None = None


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open":
        _opened.extend(str(one) for one in arguments[:1] if isinstance(one, str | Path))


def test_every_file_that_is_read_for_a_result_is_noted_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    global _opened  # noqa: PLW0603 - an audit hook stays for good, and looks here
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    noted: set[str] = set()
    remember = CheckedFiles.remember

    def also(self: CheckedFiles, pipeline: Pipeline, what: str, found: Any, looked_at: Any) -> None:
        noted.update(os.path.realpath(place) for place in looked_at)
        remember(self, pipeline, what, found, looked_at)

    monkeypatch.setattr(CheckedFiles, "remember", also)
    project = Project(tmp_path)
    project.look()  # Whatever is imported and loaded once has been by now.
    shutil.rmtree(project.settings.home)
    sys.addaudithook(_note_opened)

    _opened = []
    try:
        project.look()
        opened = {os.path.realpath(path) for path in _opened}
    finally:
        _opened = None

    pipelines = {path for path in opened if path.endswith((".yaml", ".yml"))}
    ours = tuple(map(str, (ROOT / "runner", ROOT / "jobs", ROOT / "schema", sys.prefix)))
    home = str(project.settings.home)
    others = {path for path in opened - pipelines if not path.startswith((*ours, home))}
    assert {Path(path).parent for path in pipelines} == {tmp_path / "pipelines"}
    assert any(path.endswith(".sql") for path in others)
    assert others <= noted
