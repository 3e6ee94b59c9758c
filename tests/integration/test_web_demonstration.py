"""The seed's demonstration set through the whole house: service, queues, one worker, database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace.declarations.config import Settings
from headrace.engine.application import connect
from tests.support.processes import deadline
from tests.support.web import PROJECT, client_of

_WORKER = (
    "import logging; from headrace.engine.application import connect\n"
    "from headrace.engine.workers.main import run_worker\n"
    "logging.basicConfig(level=logging.INFO)\n"
    "run_worker(connect(), processes=2)"
)


@pytest.fixture
def client(database: str, redis_url: str, tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(
        project=PROJECT,
        home=tmp_path,
        pipelines=PROJECT / "pipelines",
        database_url=database,
        redis_url=redis_url,
    )
    environ = {
        **os.environ,
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "HEADRACE_HOME": str(tmp_path),
    }
    with connect(settings, role="web") as headrace, client_of(headrace) as found:
        worker = subprocess.Popen([sys.executable, "-c", _WORKER], env=environ, cwd=PROJECT)
        try:
            yield found
        finally:
            worker.send_signal(signal.SIGTERM)
            try:
                worker.wait(60)
            finally:
                worker.kill()


@pytest.mark.slow
def test_six_of_the_seven_jobs_complete_and_failed_job_waits_for_its_retry(client: TestClient):
    ids = [row["id"] for row in client.post("/create-jobs/").json()["items"]]
    rows = settled(client, ids)

    assert {name: row["status"] for name, row in rows.items()} == {
        "PopulateRecords": "completed",
        "SlowQuery": "completed",
        "DataAggregation": "completed",
        "TruncateTable": "completed",
        "DropTable": "completed",
        "Fibonacci": "completed",
        "FailedJob": "retrying",
    }
    failed = rows["FailedJob"]
    assert failed["retry_count"] == 1
    assert failed["next_retry_time"] is not None
    assert "This is a custom exception" in failed["error"]
    assert failed["traceback"].startswith("Traceback")
    attempts = client.get(f"/jobs/{failed['id']}/attempts").json()["items"]
    assert [(one["attempt"], one["outcome"]) for one in attempts] == [(1, "failed")]
    logs = client.get(f"/jobs/{rows['DropTable']['id']}/logs").json()["items"]
    assert any("auth.users" in line["message"] for line in logs)
    assert rows["DataAggregation"]["started_at"] > rows["PopulateRecords"]["finished_at"]


def settled(client: TestClient, ids: list[str], timeout_s: float = 45) -> dict[str, Any]:
    """Return the jobs by class once none of them is on its way."""
    until = deadline(timeout_s)
    while True:
        rows = {row["job_class"]: row for row in (client.get(f"/jobs/{i}").json() for i in ids)}
        under_way = {row["status"] for row in rows.values()} & {"waiting", "queued", "started"}
        if not under_way or time.monotonic() > until:
            return rows
        time.sleep(0.25)
