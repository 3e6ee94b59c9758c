"""`make fuzz`: every generated property again and again, with new cases until its time is over.

A plugin for pytest. A property that fails is not tried further; the end of the run tells the cases
of each one and the seed with which all of them come again.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from zlib import crc32

import hypothesis
import pytest

from tests.support.generated import ROUND

_KEPT = "fuzzed"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fuzz")
    group.addoption("--fuzz-minutes", type=float, default=5.0)
    group.addoption("--fuzz-seed", type=int, default=None)


def pytest_configure(config: pytest.Config) -> None:
    if config.option.fuzz_seed is None:
        config.option.fuzz_seed = random.randrange(10**6)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if not _is_property(item)]
    items[:] = [item for item in items if _is_property(item)]
    config.hook.pytest_deselected(items=others)
    sharing = Counter(_name(item.nodeid) for item in items)
    processes = max(1, int(getattr(config, "workerinput", {}).get("workercount", 1)))
    seconds = config.option.fuzz_minutes * 60 * processes / max(1, len(sharing))
    for item in items:
        item.stash[_SECONDS] = seconds / sharing[_name(item.nodeid)]
        if isinstance(item, pytest.Function) and _is_hypothesis(item):
            _count_cases(item.obj)


_SECONDS = pytest.StashKey[float]()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Call a property until its time is over; at least once."""
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    told = {"rounds": 0, "cases": 0, "seconds": 0.0}
    pyfuncitem.user_properties.append((_KEPT, told))
    began = time.monotonic()
    try:
        while told["rounds"] == 0 or told["seconds"] < pyfuncitem.stash[_SECONDS]:
            told["rounds"] += 1
            _one_round(pyfuncitem, arguments, int(told["rounds"]))
            told["seconds"] = time.monotonic() - began
    finally:
        told["cases"], ROUND.cases = ROUND.cases, 0
        told["seconds"] = time.monotonic() - began
    return True


def _one_round(item: pytest.Function, arguments: dict[str, Any], number: int) -> None:
    ROUND.seed = crc32(f"{item.config.option.fuzz_seed} {item.nodeid} {number}".encode())
    if _is_hypothesis(item):
        hypothesis.seed(ROUND.seed)(item.obj)
    item.obj(**arguments)


def _is_property(item: pytest.Item) -> bool:
    return _is_hypothesis(item) or item.get_closest_marker("generated") is not None


def _is_hypothesis(item: pytest.Item) -> bool:
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


def _count_cases(test: Any) -> None:
    inner: Callable[..., object] = test.hypothesis.inner_test
    if hasattr(inner, "counted"):
        return

    @wraps(inner)
    def counted(*args: Any, **kwargs: Any) -> object:
        ROUND.cases += 1
        return inner(*args, **kwargs)

    counted.counted = True  # type: ignore[attr-defined]
    test.hypothesis.inner_test = counted


def _name(nodeid: str) -> str:
    return nodeid.partition("[")[0]


@dataclass
class _Sum:
    rounds: int = 0
    cases: int = 0
    seconds: float = 0.0
    failed: int = 0


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell the cases of each property, and how to see them again."""
    sums: dict[str, _Sum] = defaultdict(_Sum)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for told in (value for name, value in report.user_properties if name == _KEPT):
                if report.when == "call":
                    one = sums[_name(report.nodeid)]
                    one.rounds, one.cases = one.rounds + told["rounds"], one.cases + told["cases"]
                    one.seconds += told["seconds"]
                    one.failed += outcome == "failed"
    say = terminalreporter.write_line
    say(f"{'cases':>9} {'rounds':>7} {'seconds':>8}")
    for name, one in sorted(sums.items()):
        mark = "  FAILED" if one.failed else ""
        say(f"{one.cases:>9,} {one.rounds:>7,} {one.seconds:>8.1f}  {name}{mark}")
    failed = sum(one.failed > 0 for one in sums.values())
    cases = sum(one.cases for one in sums.values())
    seed = config.option.fuzz_seed
    say(f"{cases:,} cases of {len(sums)} properties, {failed} of them failed; seed {seed}.")
    if failed:
        say(f'Again: make fuzz SEED={seed} ARGS="-k NAME". Keep what was found as an @example.')
