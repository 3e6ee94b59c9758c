"""Headrace itself, as it is installed: the default settings, the engine's own entrances."""

import os
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg2

from bench.contender import Contender, Place
from headrace.engine.application import Headrace, connect
from headrace.model.ids import new_id
from headrace.model.plan import Plan, PlannedJob
from headrace.model.retry import RetryPolicy
from headrace.model.status import Trigger

NOOP = "bench.jobs.Noop"


class Adapter(Contender):
    durable = True

    def __init__(self, place: Place, variant: str) -> None:
        super().__init__(place, variant)
        os.environ.update(self.environment())
        (place.scratch / "pipelines").mkdir(exist_ok=True)
        # The jobs lie beside the benchmark.
        (place.scratch / "config.yaml").write_text("job_packages: [bench]\n")
        self.headrace: Headrace = connect()
        self._line: Any = None
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
            "HEADRACE_PORT": str(_free_port()),
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
        payloads = ({"n": number} for number in numbers)
        self.headrace.dispatcher.dispatch_many(NOOP, payloads, queue=queue)

    def chain(self, numbers: Sequence[int]) -> None:
        self.start([noop(number, after=numbers[at - 1 : at]) for at, number in enumerate(numbers)])

    def fan(self, numbers: Sequence[int]) -> None:
        first, *middle, last = numbers
        self.start(
            [
                noop(first),
                *(noop(number, after=[first]) for number in middle),
                noop(last, after=middle),
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

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement outside the engine, to see what it has done."""
        if self._line is None:
            self._line = psycopg2.connect(self.place.database_url)
            self._line.autocommit = True
        with self._line.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
        self.headrace.close()


def noop(number: int, after: Sequence[int] = ()) -> PlannedJob:
    """Return a step that leaves its mark after others have."""
    return PlannedJob(
        step=f"s{number}",
        job_class=NOOP,
        payload={"n": number},
        queue="medium",
        retry=RetryPolicy(),
        timeout_s=300.0,
        depends_on=tuple(f"s{upstream}" for upstream in after),
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
