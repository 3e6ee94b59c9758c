"""A pytest plugin that keeps which lines each test executes, in all its processes.

Each of pytest's processes has a file of marks of its own, which everything that it starts shares.
After a test the marks are stored, so that an interrupted run goes on where it stopped.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import headrace_marks  # type: ignore[import-not-found]  # only in a copy of the tree
import pytest

from tests.mutants.line_map import LineMap

_MAP = Path(os.environ["HEADRACE_LINE_MAP"])
_MARKS = headrace_marks.MARKS
_outcomes: dict[str, str] = {}


def pytest_configure(config: pytest.Config) -> None:
    path = str(_MAP.parent / "marks" / str(os.getpid()))
    _MARKS.use(path)
    os.environ[headrace_marks.FILE] = path


def pytest_unconfigure(config: pytest.Config) -> None:
    Path(os.environ[headrace_marks.FILE]).unlink(missing_ok=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the map has. All of xdist's processes read the same list."""
    done = set(_MAP.with_suffix(".done").read_text(encoding="utf-8").splitlines())
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
    items[:] = [item for item in items if item.nodeid not in done]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    before = _MARKS.drain()
    began = time.monotonic()
    try:
        return (yield)
    finally:
        seconds = time.monotonic() - began
        with LineMap(_MAP) as kept:
            kept.add(item.nodeid, _outcomes.pop(item.nodeid, "failed"), seconds, _MARKS.drain())
            # What is executed between tests: imports, servers and processes that go on.
            kept.add("", "passed", 0, before)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome != "passed" or report.when == "setup":
        worst = _outcomes.get(report.nodeid)
        _outcomes[report.nodeid] = worst if worst not in (None, "passed") else report.outcome
    else:
        _outcomes.setdefault(report.nodeid, "passed")
