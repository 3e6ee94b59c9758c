"""A running `headrace up`, as its user asks it: by HTTP, by commands, and with psql beside it."""

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from tests.matrix.conftest import Matrix
from tests.support.cli import Headrace
from tests.support.processes import deadline
from tests.support.servers import connect

_LIMIT_S = 60.0


class Up:
    """A running `headrace up`, asked by HTTP and by commands; `query` looks from outside."""

    def __init__(self, headrace: Headrace, database_url: str) -> None:
        self.headrace, self._url = headrace, database_url
        address = f"http://127.0.0.1:{headrace.environ['HEADRACE_PORT']}"
        self.http = Matrix(headrace.folder, address, {}, "")

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(connect(self._url)) as opened, opened.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def open(self, gate: str) -> None:
        """Let the steps go on that wait for it."""
        self.query("insert into opened values (%s)", gate)

    def start(self, name: str, **params: Any) -> str:
        run = self.http.ask(f"/pipelines/{name}/runs", {"params": params})
        return str(run["id"])

    def wait(self, run_id: str, *statuses: str) -> dict[str, Any]:
        """Return the run once it has one of the statuses; by default, once it has ended."""
        wanted = statuses or ("completed", "failed", "cancelled")
        give_up = deadline(_LIMIT_S)
        while (run := self.http.ask(f"/runs/{run_id}"))["status"] not in wanted:
            assert time.monotonic() < give_up, f"still {run['status']}: {statuses_of(run)}"
            time.sleep(0.1)
        return dict(run)

    def wait_started(self, run_id: str, step: str) -> None:
        """Return once a worker executes the run's step."""
        give_up = deadline(_LIMIT_S)
        while (job := jobs_of(self.http.ask(f"/runs/{run_id}"))[step])["status"] != "started":
            assert time.monotonic() < give_up, job
            time.sleep(0.05)

    def run(self, name: str, **params: Any) -> dict[str, Any]:
        return self.wait(self.start(name, **params))

    def status(self, run_id: str) -> str:
        return str(self.http.ask(f"/runs/{run_id}")["status"])


def jobs_of(run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {job["step"]: job for job in run["jobs"]}


def statuses_of(run: Mapping[str, Any]) -> dict[str, str]:
    return {step: job["status"] for step, job in jobs_of(run).items()}
