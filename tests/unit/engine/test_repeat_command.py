"""The command that runs once more what a run was."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.engine.catalog.repeat_command import line_for

NIGHT = "headrace run p --logical-date 2026-07-01T00:00:00+00:00"


def line(params: Any, trigger: str = "manual", *, zone: str | None = None) -> str:
    """Return the line for a run of a pipeline whose schedule has a zone; None: it is gone."""
    declared = SimpleNamespace(schedules=[SimpleNamespace(timezone=zone)])
    pipelines: Any = SimpleNamespace(by_name={"p": declared} if zone is not None else {})
    at = datetime(2026, 7, 1, tzinfo=UTC)
    row = {"pipeline": "p", "logical_date": at, "params": params, "trigger": trigger}
    return line_for(pipelines, row)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (None, ""),
        ({}, ""),
        # What a run is given no value for has none in the next one either.
        ({"a": None, "b": 0}, " -p b=0"),
        ({"a": "", "b": False, "c": 1.5}, " -p a= -p b=false -p c=1.5"),
        ({"a": "it's", "b": ["é", 1]}, """ -p 'a=it'"'"'s' -p 'b=["é", 1]'"""),
    ],
)
def test_each_parameter_is_given_as_it_was(params: Any, words: str) -> None:
    assert line(params) == NIGHT + words


@pytest.mark.parametrize(
    ("trigger", "given"),
    [
        ("manual", True), ("api", True), ("pipeline", True),
        ("schedule", False), ("backfill", False),
    ],
)  # fmt: skip
def test_only_who_may_have_given_parameters_gives_them_again(trigger: str, given: bool) -> None:
    assert line({"n": 1}, trigger) == NIGHT + (" -p n=1" if given else "")


def test_the_date_is_on_the_clock_of_the_schedule() -> None:
    assert line({}, zone="Europe/Berlin") == (
        "headrace run p --logical-date 2026-07-01T02:00:00+02:00"
    )
