"""Counts what has run as a user runs it: see `docs/testing.md`."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.cli.arguments import parser
from headrace.engine.catalog.job_registry import Registry
from headrace.jobs.base import BaseJob
from headrace.jobs.tables.masks import MASK_KINDS
from headrace.model.job_parameters import parameters_of
from tests.matrix.cells import CELLS, COPIES, NO_DATABASE
from tests.matrix.places import Place

TESTS = Path(__file__).parents[1]
COMMANDS = sorted(next(action.choices for action in parser()._actions if action.choices))
SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py") if path.name != __file__
)


def test_every_built_in_job_runs_in_every_place_of_the_matrix():
    covered = {job for job, _ in (*CELLS.values(), *COPIES.values())} | set(NO_DATABASE)
    assert covered == set(Registry().names())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_called_by_a_test_as_a_process_of_its_own(command: str):
    # `headrace("runs", …)` and `headrace.started("up")` of tests/support/cli.py, or the program.
    called = (
        rf'(?:\bheadrace|\brun|\.started|\bcommand|\bcalled?)\(\s*"{command}"'
        rf'|"headrace", "{command}"'
    )
    assert re.search(called, SOURCES), f"no test calls headrace {command}"


EVERY_KEY = TESTS / "integration" / "every_key" / "pipelines"


def given() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield job and `with` of every step that runs on the real path between two servers."""
    place = Place("debian", "debian", "", "", "etl")
    for job, make in (*CELLS.values(), *COPIES.values()):
        yield job, dict(make(place).with_)
    yield from NO_DATABASE.items()
    for path in EVERY_KEY.glob("*.yaml"):
        for step in yaml.safe_load(path.read_text(encoding="utf-8"))["steps"]:
            yield step["job"], step["with"]


def shown() -> set[str]:
    """Return what they show, as `Job.key` and `Job.key: choice`; keys of all jobs as `.key`."""
    found = set()
    for job, with_ in given():
        for key, value in with_.items():
            found |= {f"{job}.{key}", f".{key}"}
            found |= {f"{job}.{key}: {one}" for one in _choices_given(value)}
    return found


def _choices_given(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield str(key)
            yield from _choices_given(one)
    elif isinstance(value, list):
        for one in value:
            yield from _choices_given(one)
    else:
        yield str(value)


def to_be_shown() -> Iterator[str]:
    """Yield each key, each of its choices but the default, and each kind of mask."""
    common = set(parameters_of(BaseJob))
    yield from (f".{name}" for name in common)
    for job in Registry().names():
        for name, parameter in Registry().get(job).parameters.items():
            if name in common:
                continue
            yield f"{job}.{name}"
            for choice in _choices_of(parameter.type):
                if choice != str(parameter.default):
                    yield f"{job}.{name}: {choice}"
            if name == "mask":
                yield from (f"{job}.mask: {kind}" for kind in MASK_KINDS)


def _choices_of(hint: Any) -> Iterator[str]:
    """Yield the words that a parameter takes, also within a list or a mapping."""
    if hint is bool:
        yield from ("True", "False")
    elif typing.get_origin(hint) is typing.Literal:
        yield from map(str, typing.get_args(hint))
    else:
        for part in typing.get_args(hint):
            yield from _choices_of(part)


def test_every_key_and_choice_of_a_built_in_job_runs_between_two_servers() -> None:
    seen = shown()
    missing = [one for one in to_be_shown() if one not in seen]
    assert missing == [], "no pipeline of the matrix or of every_key shows these"
