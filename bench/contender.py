"""Interface of the systems under test: one adapter per system, in `bench/peers/NAME`.

Standard library only: adapters run in the environment of their system.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bench import rows

ROOT = Path(__file__).resolve().parent.parent
_STOP_LIMIT_S = 15.0


class NotNatural(Exception):
    """The system has no way of its own to do this; the table shows a dash."""


@dataclass(frozen=True)
class Place:
    """Place of a run: fresh database, emptied Redis, a folder for logs."""

    database_url: str
    redis_url: str
    scratch: Path

    @property
    def redis_socket(self) -> str:
        """The path of Redis' Unix socket."""
        return unquote(urlsplit(self.redis_url).path)


class Contender:
    """A system under test. `variant` is one of its ways to be configured."""

    # Whether each job's status is in PostgreSQL; `finished` then counts the final ones.
    durable = False

    def __init__(self, place: Place, variant: str = "") -> None:
        self.place = place
        self.variant = variant
        # Which of its kinds of jobs are enqueued from now on: other than by a mark, only Headrace
        # has several. The others' workers insert rows if they are started while `inserts` is set.
        self.work = ""
        self.inserts = False
        self._workers: list[subprocess.Popen[bytes]] = []

    # -- what an adapter says ---------------------------------------------------------

    def install(self) -> None:
        """Make the system's tables."""

    def worker_commands(self, processes: int) -> list[list[str]]:
        """Return the commands that together start `processes` processes that run jobs."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return further variables for the workers."""
        return {}

    def enqueue(self, number: int) -> None:
        """Enqueue one job."""
        raise NotImplementedError

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        """Enqueue many jobs in the quickest way that the system documents."""
        for number in numbers:
            self.enqueue(number)

    def chain(self, numbers: Sequence[int]) -> None:
        """Start jobs that run one after the other."""
        del numbers
        raise NotNatural

    def fan(self, numbers: Sequence[int]) -> None:
        """Start one job, then all but one of the others at once, then the last one."""
        del numbers
        raise NotNatural

    def make_target(self) -> None:
        """Make a second database, for the work that writes to one."""
        raise NotNatural

    def scalar(self, sql: str) -> Any:
        """Return the one value of a query, in the run's database."""
        del sql
        raise NotNatural

    def finished(self) -> int:
        """Return how many jobs' final statuses are stored. Durable systems only."""
        raise NotNatural

    def close(self) -> None:
        """Let go of connections."""

    # -- the workers ------------------------------------------------------------------

    def start_workers(self, processes: int) -> None:
        """Start worker processes; returns at once."""
        environment = child_environment() | self.environment() | rows.environment(self.inserts)
        for number, command in enumerate(self.worker_commands(processes)):
            log = (self.place.scratch / f"worker-{number}.log").open("wb")
            self._workers.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def stop_workers(self) -> None:
        """Stop them, in order where they obey, for good in any case."""
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            try:
                worker.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                pass
            finally:
                end_session(worker)
        self._workers = []

    def worker_deaths(self) -> str:
        """Return what is known of workers that have ended by themselves, else nothing."""
        dead = [worker for worker in self._workers if worker.poll() is not None]
        if not dead:
            return ""
        last_words = {
            lines[-1]
            for log in sorted(self.place.scratch.glob("worker-*.log"))
            if (lines := log.read_text(errors="replace").strip().splitlines())
        }
        return f"{len(dead)} of its processes ended: {' | '.join(sorted(last_words))}"

    def worker_pids(self) -> list[int]:
        """Return the processes that were started, without their children."""
        return [worker.pid for worker in self._workers]


def end_session(process: "subprocess.Popen[bytes]") -> None:
    """Kill whatever is left of a process and its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def child_environment() -> dict[str, str]:
    """Return the environment for all systems' processes.

    Byte code may be written: without it every start and every fork would compile anew.
    """
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def program(name: str) -> str:
    """Return a program of the environment that this Python belongs to."""
    return str(Path(sys.executable).parent / name)


def load(name: str, variant: str, place: Place) -> Contender:
    """Return the adapter of a system by its folder's name."""
    from importlib import import_module

    adapter: Any = import_module(f"bench.peers.{name}.adapter")
    contender: Contender = adapter.Adapter(place, variant)
    return contender


def place_from_environment() -> Place:
    """Return the place that the controller has prepared."""
    return Place(
        os.environ["BENCH_DATABASE_URL"],
        os.environ["BENCH_REDIS_URL"],
        Path(os.environ["BENCH_SCRATCH"]),
    )
