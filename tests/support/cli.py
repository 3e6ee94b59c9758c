"""The command line as a user calls it: a process of its own."""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import warm_python
from tests.support.processes import PATIENCE, deadline, wait_until

REPOSITORY = Path(__file__).parents[2]

# What the tests' own surroundings must not say.
_OURS = ("HEADRACE_", "JOB_", "DATABASE_URL", "REDIS_URL")


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which only `given` speaks to Headrace."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **given}


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Headrace:
    """Calls `headrace` in a folder, with an environment of its own."""

    folder: Path
    environ: Mapping[str, str]

    def __call__(self, *arguments: str, timeout: float = 50) -> Done:
        done = Done(
            *warm_python.run(
                ["headrace", *arguments],
                cwd=self.folder,
                env=environment(self.environ),
                timeout=timeout * PATIENCE,
            )
        )
        assert "Traceback (most recent call last)" not in done.err, done.err
        return done

    @contextmanager
    def started_worker(self, *arguments: str) -> Iterator["Running"]:
        """Yield a worker that others know: `run` and `backfill` take it, and none of their own."""
        with self.started("worker", *arguments) as worker:
            worker.wait_for("serving")
            wait_until(lambda: self("workers", "--json").json["items"], limit_s=60)
            yield worker

    @contextmanager
    def started(self, *arguments: str) -> Iterator["Running"]:
        """Yield a command that runs on; what is left of its tree is killed at the end."""
        log = self.folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
        with log.open("wb") as stream:
            process = warm_python.start(
                ["headrace", *arguments],
                cwd=self.folder,
                env=environment(self.environ),
                stdout=stream,
                stderr=stream,
                new_session=True,
            )
        running = Running(process, log)
        try:
            yield running
        finally:
            for pid in [process.pid, *running.tree()]:
                _kill(pid)
            process.wait()


@dataclass
class Running:
    process: warm_python.Started
    log: Path

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, text: str, seconds: float = 40) -> None:
        """Return when the text stands in the output."""
        give_up = deadline(seconds)
        while text not in self.output():
            assert self.process.poll() is None, f"it has ended:\n{self.output()}"
            assert time.monotonic() < give_up, f"no {text!r} in:\n{self.output()}"
            time.sleep(0.05)

    def tree(self) -> list[int]:
        """Return the pids of all processes below it."""
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(folder.name))
        found: list[int] = []
        todo = [self.process.pid]
        while todo:
            below = children.get(todo.pop(), [])
            found += below
            todo += below
        return found

    def stop(self, number: int = signal.SIGINT) -> None:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        self.process.wait(timeout=60)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
