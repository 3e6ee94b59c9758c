"""Every file of valid/ and invalid/ gives exactly what stands beside it.

`valid/x.yaml` → the pipeline in `x.json`; `invalid/x.yaml` → the problems in `x.expected`. A
folder `valid/x/` or `invalid/x/` is loaded as a whole. To write what is expected anew, run the
tests with HEADRACE_UPDATE_EXPECTED=1 and read the difference.
"""

import json
import os
import re
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.load import load_files, load_folder
from headrace.declarations.loaded_file import LoadResult
from headrace.model.connection import NamedConnection
from headrace.model.notifications import Notifications, Receiver
from headrace.model.pipeline import Pipeline
from tests.support.catalogue import SmallCatalogue

HERE = Path(__file__).parent


def _cases(folder: str) -> list[Path]:
    return sorted(
        path for path in (HERE / folder).iterdir() if path.is_dir() or path.suffix == ".yaml"
    )


VALID, INVALID = _cases("valid"), _cases("invalid")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        project=tmp_path,
        home=tmp_path,
        pipelines=tmp_path,
        connections={"warehouse": NamedConnection("postgresql://warehouse/dwh")},
        pools={"warehouse": 4},
        notifications=Notifications(
            receivers={
                name: Receiver(name, "webhook", "https://hooks.example.com")
                for name in ("pager", "chat")
            }
        ),
    )


def load(path: Path, settings: Settings) -> LoadResult:
    relative = path.relative_to(Path.cwd())
    if path.is_dir():
        return load_folder(relative, SmallCatalogue(), settings)
    return load_files([relative], SmallCatalogue(), settings)


def dumped(pipeline: Pipeline) -> str:
    data: dict[str, Any] = asdict(pipeline)
    for key in ("file", "folder", "version", "source"):  # They differ by machine and edit.
        del data[key]
    return json.dumps(data, indent=2, ensure_ascii=False, default=_moment) + "\n"


def _moment(value: Any) -> str:
    assert isinstance(value, date)
    return value.isoformat()


def compare(found: str, expected: Path) -> None:
    if os.environ.get("HEADRACE_UPDATE_EXPECTED"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_file_becomes_its_pipeline(
    path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    result = load(path, settings)

    assert [str(problem) for problem in result.problems] == []
    assert len(result.pipelines) == 1 or path.is_dir()
    compare("".join(map(dumped, result.pipelines.values())), path.with_suffix(".json"))


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_file_gives_exactly_its_problems(
    path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    problems = load(path, settings).problems

    assert problems
    assert all(problem.line and problem.column and problem.hint for problem in problems)
    compare("".join(f"{problem}\n" for problem in problems), path.with_suffix(".expected"))


def test_nothing_expected_is_left_without_its_file() -> None:
    expected = {path.with_suffix("").name for path in (HERE / "invalid").glob("*.expected")}
    assert expected == {path.stem for path in INVALID}
    assert {path.stem for path in (HERE / "valid").glob("*.json")} == {p.stem for p in VALID}


BLOCK = re.compile(r"^steps:\n(?= +- )", re.MULTILINE)
WITH_STEPS = [
    path
    for path in INVALID
    if path.is_file() and BLOCK.search(path.read_text("utf-8", "surrogateescape"))
]


@pytest.mark.parametrize("path", WITH_STEPS, ids=lambda path: path.stem)
def test_a_step_without_a_mistake_hides_no_mistake_behind_it(
    path: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it add one: a rule that does not concern a step goes on to the next."""
    monkeypatch.chdir(path.parent)
    alone = [(one.line, one.column, one.code) for one in load(path, settings).problems]
    text = path.read_text("utf-8", "surrogateescape")
    found = BLOCK.search(text)
    assert found is not None
    indent = " " * (len(text) - found.end() - len(text[found.end() :].lstrip(" ")))
    first = f"{indent}- {{id: aaa_first, job: FailedJob}}\n"
    (tmp_path / path.name).write_text(
        text[: found.end()] + first + text[found.end() :], "utf-8", "surrogateescape"
    )
    monkeypatch.chdir(tmp_path)

    problems = load(tmp_path / path.name, settings).problems

    last = text.count("\n", 0, found.end())
    moved = [(line + (line > last), column, code) for line, column, code in alone]
    assert [(one.line, one.column, one.code) for one in problems] == moved
