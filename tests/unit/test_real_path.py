"""Counts what has run as a user runs it: see `docs/testing.md`."""

import re
from pathlib import Path

import pytest

from headrace.cli.arguments import parser
from headrace.engine.catalog.job_registry import Registry
from tests.matrix.cells import CELLS, COPIES, NO_DATABASE

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
        rf'(?:\bheadrace|\brun|\.started|\bcommand|\bcalled?)\(\s*"{command}"|"runner", "{command}"'
    )
    assert re.search(called, SOURCES), f"no test calls headrace {command}"
