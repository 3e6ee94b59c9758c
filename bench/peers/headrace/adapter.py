"""Headrace itself, as it is installed: the default settings, the engine's own entrances."""

import json
import os
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg2
from sqlalchemy.engine import make_url

from bench.contender import Contender, Place
from bench.rows import INSERT, TABLE
from headrace.engine.application import Headrace, connect
from headrace.model.ids import new_id
from headrace.model.plan import Plan, PlannedJob
from headrace.model.retry import RetryPolicy
from headrace.model.status import Trigger

TARGET = "bench_target"
NOOP = "bench.jobs.Noop"
# The classes that do the work, and what they are given beside their number.
_INSERT = INSERT.format("{{ params.number }}")
_WORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "": (NOOP, {}),
    "log": ("bench.jobs.Speaking", {}),
    "python": ("bench.jobs.InsertRow", {}),
    "sql": ("RunSql", {"sql": _INSERT}),
    "sql-target": ("RunSql", {"sql": _INSERT, "connection": TARGET}),
}


class Adapter(Contender):
    durable = True

    def __init__(self, place: Place, variant: str) -> None:
        super().__init__(place, variant)
        self.port = _free_port()
        os.environ.update(self.environment())
        (place.scratch / "pipelines").mkdir(exist_ok=True)
        # The jobs lie beside the benchmark.
        config = {"job_packages": ["bench"], "connections": {TARGET: self._target_url}}
        (place.scratch / "config.yaml").write_text(json.dumps(config))
        self.headrace: Headrace = connect()
        self._lines: dict[str, Any] = {}
        self._first_id = new_id()
        # Whether `start_workers` brings daemon and web page as well.
        self.whole = False

    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.place.database_url,
            "REDIS_URL": self.place.redis_url,
            "HEADRACE_CONFIG": str(self.place.scratch / "config.yaml"),
            "HEADRACE_HOME": str(self.place.scratch / "home"),
            "HEADRACE_PIPELINES": str(self.place.scratch / "pipelines"),
            "HEADRACE_PORT": str(self.port),
            **({"HEADRACE_JOBS_PER_COMMIT": self.variant} if self.variant else {}),
        }

    def install(self) -> None:
        self.headrace.migrate()

    def worker_commands(self, processes: int) -> list[list[str]]:
        command = [sys.executable, "-m", "headrace"]
        if self.whole:
            return [[*command, "up", "--workers", str(processes)]]
        return [[*command, "worker", "--processes", str(processes)]]

    def enqueue(self, number: int) -> None:
        self.headrace.dispatcher.dispatch(NOOP, {"n": number})

    def enqueue_many(self, numbers: Sequence[int], queue: str | None = None) -> None:
        name, _ = _WORKS[self.work]
        payloads = (payload(self.work, number) for number in numbers)
        self.headrace.dispatcher.dispatch_many(name, payloads, queue=queue)

    def chain(self, numbers: Sequence[int]) -> None:
        self.start(
            [
                planned(number, after=numbers[at - 1 : at], work=self.work)
                for at, number in enumerate(numbers)
            ]
        )

    def fan(self, numbers: Sequence[int]) -> None:
        first, *middle, last = numbers
        self.start(
            [
                planned(first),
                *(planned(number, after=[first]) for number in middle),
                planned(last, after=middle),
            ]
        )

    def start(self, jobs: Sequence[PlannedJob]) -> None:
        """Start a run of these jobs."""
        plan = Plan("bench", "1", {}, datetime.now(UTC), tuple(jobs))
        self.headrace.dispatcher.start_run(plan, Trigger.API)

    def finished(self) -> int:
        # Ids grow with time: a history of millions is not counted at each look.
        rows = self.query(
            "SELECT count(*) FROM headrace.job"
            f" WHERE id >= '{self._first_id}' AND status = 'completed'"
        )
        return int(rows[0][0])

    def scalar(self, sql: str) -> Any:
        url = self._target_url if self.work == "sql-target" else self.place.database_url
        return self._ask(url, sql)[0][0]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement outside the engine, to see what it has done."""
        return self._ask(self.place.database_url, sql)

    def make_target(self) -> None:
        """Make the database of the connection that jobs of `sql-target` write to."""
        self.query(f"CREATE DATABASE {TARGET}")
        self._ask(self._target_url, TABLE)

    @property
    def _target_url(self) -> str:
        url = make_url(self.place.database_url).set(database=TARGET)
        return url.render_as_string(hide_password=False)

    def _ask(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        if url not in self._lines:
            self._lines[url] = psycopg2.connect(url)
            self._lines[url].autocommit = True
        with self._lines[url].cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        if (target := self._lines.pop(self._target_url, None)) is not None:
            target.close()
            self.query(f"DROP DATABASE {TARGET} WITH (FORCE)")
        for line in self._lines.values():
            line.close()
        self.headrace.close()


def payload(work: str, number: int) -> dict[str, Any]:
    """Return what a job of this work is given."""
    name, fixed = _WORKS[work]
    return {**fixed, "params": {"number": number}} if name == "RunSql" else {"n": number}


def planned(number: int, after: Sequence[int] = (), work: str = "") -> PlannedJob:
    """Return a step that does its work after others have."""
    return PlannedJob(
        step=f"s{number}",
        job_class=_WORKS[work][0],
        payload=payload(work, number),
        queue="medium",
        retry=RetryPolicy(),
        timeout_s=300.0,
        depends_on=tuple(f"s{upstream}" for upstream in after),
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
