"""Processes that a test has started, and waiting for what they do."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.warm_python import Started

# How long a wait sleeps between two looks: what comes soon is seen soon, and a long wait leaves the
# cores to what is waited for.
_SHORTEST_LOOK_S = 0.01
_LONGEST_LOOK_S = 0.05
PATIENCE = float(os.environ.get("HEADRACE_TEST_PATIENCE", "3"))


def deadline(limit_s: float) -> float:
    """Return the monotonic time until which a test waits for what is to come within `limit_s`.

    HEADRACE_TEST_PATIENCE stretches every limit: what is bounded here are hangs, not speed.
    """
    return time.monotonic() + limit_s * PATIENCE


def wait_until(
    condition: Callable[[], Any], *, limit_s: float = 15.0, what: str = "the condition"
) -> Any:
    """Return the first true answer of `condition`; fail after `limit_s` seconds, stretched."""
    end, look_s = deadline(limit_s), _SHORTEST_LOOK_S
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {limit_s:g} s")
        time.sleep(look_s)
        look_s = min(look_s * 1.3, _LONGEST_LOOK_S)


@dataclass
class Process:
    """One started daemon or worker."""

    popen: Started
    log: Path
    role: str

    @property
    def pid(self) -> int:
        return self.popen.pid

    def wait(self, limit_s: float) -> int:
        """Return its exit code; it has to end within `limit_s` seconds, stretched."""
        return self.popen.wait(timeout=limit_s * PATIENCE)

    def children(self) -> list[int]:
        """The worker's child processes."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            return [int(pid) for pid in path.read_text().split()]
        except OSError:
            return []

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.popen.kill()
        self.popen.wait()

    def pause(self) -> None:
        """SIGSTOP the process and all its children."""
        for pid in (self.pid, *self.children()):
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT the process and all its children."""
        for pid in (self.pid, *self.children()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def text(self) -> str:
        """What it has said."""
        return self.log.read_text(errors="replace")
