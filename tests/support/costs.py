"""What each test file costs: computing, with all that its tests start, and mere waiting.

    make test ARGS="-p tests.support.costs"

Each process of the run gets a control group of its own, into which its servers, commands and
workers are born: computing is read from there, however busy the machine is with other things. A
test waits while nothing in the group runs or wants to. Needs root and Linux.
"""

import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_EVERY_S = 0.05
_SHOWN = 30
_NAME = "cost"
# Kept, since tests put others in their place.
_clock, _rest, _text = time.monotonic, time.sleep, Path.read_text


@dataclass
class Cost:
    """Seconds."""

    computed: float = 0.0
    waited: float = 0.0
    took: float = 0.0

    def add(self, more: "list[float]") -> None:
        """Add the three of another one."""
        self.computed += more[0]
        self.waited += more[1]
        self.took += more[2]


class _Group:
    """This process's control group, in either version of them, and a thread that looks at it."""

    def __init__(self) -> None:
        old = Path("/sys/fs/cgroup/cpuacct")
        self._base = old if old.is_dir() else Path("/sys/fs/cgroup")
        self._folder = self._base / f"headrace-tests-{os.getpid()}"
        self._folder.mkdir()
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))
        self._waited_s = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def leave(self) -> None:
        """Remove the group, if nobody else is left in it."""
        with suppress(OSError):
            (self._base / "cgroup.procs").write_text(str(os.getpid()))
            self._folder.rmdir()

    def read(self) -> list[float]:
        """Return what was computed, how long nothing was, and the clock."""
        old = self._folder / "cpuacct.usage"
        if old.exists():
            computed_s = int(_text(old)) / 1e9
        else:
            computed_s = int(_text(self._folder / "cpu.stat").split()[1]) / 1e6
        return [computed_s, self._waited_s, _clock()]

    def _watch(self) -> None:
        last = _clock()
        with suppress(OSError):  # It was left.
            while True:
                _rest(_EVERY_S)
                now = _clock()
                if not self._is_busy():
                    self._waited_s += now - last
                last = now

    def _is_busy(self) -> bool:
        pids = _text(self._folder / "cgroup.procs").split()
        ours = f"self/task/{threading.main_thread().native_id}"
        return any(_runs(ours if pid == str(os.getpid()) else pid) for pid in pids)


def _runs(task: str) -> bool:
    """Tell whether a task computes, wants to, or waits for the disk."""
    with suppress(OSError):
        return _text(Path(f"/proc/{task}/stat")).rpartition(")")[2].split()[0] in ("R", "D")
    return False


class _Meter:
    def __init__(self, group: _Group) -> None:
        self._group = group

    def pytest_unconfigure(self) -> None:
        self._group.leave()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._measured(item))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._measured(item))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._measured(item))

    def _measured(self, item: pytest.Item) -> Iterator[None]:
        before = self._group.read()
        try:
            return (yield)
        finally:
            spent = zip(before, self._group.read(), strict=True)
            item.user_properties.append((_NAME, [round(late - early, 3) for early, late in spent]))


def pytest_configure(config: pytest.Config) -> None:
    """Measure in each process that runs tests."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        try:
            config.pluginmanager.register(_Meter(_Group()))
        except OSError as error:
            print(f"costs: nothing can be measured: {error}", file=sys.stderr)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the files that cost most, of both kinds."""
    files: dict[str, Cost] = defaultdict(Cost)
    for reports in terminalreporter.stats.values():
        for report in reports:
            # The last report of a test has what all three parts of it cost.
            if getattr(report, "when", "") == "teardown":
                for name, spent in report.user_properties:
                    if name == _NAME:
                        files[report.nodeid.partition("::")[0]].add(spent)
                        files["all"].add(spent)
    for kind in ("computed", "waited"):
        terminalreporter.section(f"seconds {kind}")
        ranked = sorted(files, key=lambda name: -getattr(files[name], kind))
        for name in ranked[:_SHOWN]:
            one = files[name]
            spent = f"{one.computed:8.1f} computed {one.waited:8.1f} waited {one.took:8.1f} in all"
            terminalreporter.write_line(f"{spent}  {name}")
