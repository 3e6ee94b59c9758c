"""A pytest plugin that runs the chosen tests in the given order, and writes which one failed."""

import json
import os
from pathlib import Path

import pytest

_CHOSEN = Path(os.environ["HEADRACE_CHOSEN"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    names = _CHOSEN.read_text(encoding="utf-8").splitlines()
    order = {name: number for number, name in enumerate(names)}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in order])
    items[:] = sorted(
        (item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid]
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.failed:
        told = {"test": report.nodeid, "failed": report.failed}
        with _CHOSEN.with_suffix(".told").open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")
