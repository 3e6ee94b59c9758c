"""Jobs that share commits until they are told to take long, and look around then."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from headrace.jobs import BaseJob
from tests.support.jobs_effects import ShortJob, wait_for_file

_OURS = ("/runner/", "/headrace/", "psycopg2")


class CountedJob(ShortJob):
    """Notes each time that it runs, in the folder `journal`."""

    def __init__(self, journal: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.journal = journal

    def handle(self) -> Any:
        with (Path(self.journal) / str(self.n)).open("a") as file:
            file.write("x")
        return super().handle()


class WatchfulJob(ShortJob):
    """Returns what of the runner's code was called while it waited for `go`, and its alarm."""

    def handle(self) -> Any:
        if not self.reached:
            return self.n
        foreign: set[str] = set()

        def note(frame: Any, event: str, arg: Any) -> None:
            name = frame.f_code.co_filename if event == "call" else str(arg)
            if event in ("call", "c_call") and any(ours in name for ours in _OURS):
                foreign.add(f"{event} {name} {frame.f_code.co_name}")

        sys.setprofile(note)
        try:
            Path(self.reached).touch()
            wait_for_file(self.go)
        finally:
            sys.setprofile(None)
        handler = signal.getsignal(signal.SIGALRM)
        return {
            "foreign": sorted(foreign),
            "handler": str(handler) if handler is not signal.SIG_DFL else "",
            "timer": signal.getitimer(signal.ITIMER_REAL)[0],
        }


class InterpreterHoldingJob(BaseJob):
    """Returns at once; with `fifo` it first reads a byte of it in C, the interpreter held."""

    def __init__(self, fifo: str = "", reached: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fifo, self.reached = fifo, reached

    def handle(self) -> Any:
        if not self.fifo:
            return
        # Open for both, so that opening does not wait.
        descriptor = os.open(self.fifo, os.O_RDWR)
        Path(self.reached).touch()
        ctypes.PyDLL(None).read(descriptor, ctypes.create_string_buffer(1), 1)
        os.close(descriptor)


class AlarmJob(ShortJob):
    """With `reached` it waits for an alarm of its own, and returns how often that has rung."""

    def handle(self) -> Any:
        if not self.reached:
            return self.n
        rung: list[int] = []
        signal.signal(signal.SIGALRM, lambda number, _frame: rung.append(number))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        Path(self.reached).touch()
        while not rung:
            time.sleep(0.01)
        wait_for_file(self.go)
        return len(rung)


class ResultJob(BaseJob):
    """Returns a text of `size` characters."""

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def handle(self) -> Any:
        return "x" * self.size
