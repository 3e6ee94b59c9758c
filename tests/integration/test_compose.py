"""The compose stack on a real engine: it becomes healthy, works on several workers, and exports."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib import request

import pytest

from tests.support.processes import wait_until
from tests.support.servers import docker_answers, docker_wanted

ROOT = Path(__file__).parents[2]
PROJECT = f"headrace-test-{os.getpid()}"
TOKEN = "a-token-for-the-tests-of-the-compose-file"

pytestmark = pytest.mark.timeout(1200)


def _compose() -> list[str]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    return [found] if (found := shutil.which("docker-compose")) else []


def _port_is_free() -> bool:
    with closing(socket.socket()) as asked:
        return asked.connect_ex(("127.0.0.1", 8000)) != 0


class Stack:
    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    def __call__(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [*_compose(), "-p", PROJECT, "-f", str(ROOT / "docker-compose.yml"), *arguments],
            cwd=ROOT, env=self._environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def is_healthy(self, service: str) -> bool:
        (one,) = self("ps", "-q", service).split()
        state = ["docker", "inspect", "--format", "{{.State.Health.Status}}", one]
        told = subprocess.run(state, capture_output=True, text=True, check=True).stdout
        return told.strip() == "healthy"

    def ask(self, path: str, body: Any = None, *, token: str = TOKEN) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        asked = request.Request(
            f"http://127.0.0.1:8000{path}",
            headers=headers if token else {},
            data=None if body is None else json.dumps(body).encode(),
        )
        with request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)

    def end_of(self, job_id: str) -> Any:
        ended = ("completed", "failed", "cancelled", "skipped")
        wait_until(lambda: self.ask(f"/jobs/{job_id}")["status"] in ended, limit_s=90)
        return self.ask(f"/jobs/{job_id}")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    if not docker_wanted():
        pytest.skip("TEST_WITH_DOCKER=1 asks for it")
    if not docker_answers():
        pytest.skip("no Docker engine answers")
    if not _compose():
        pytest.skip("no docker compose here")
    if not _port_is_free():
        pytest.skip("port 8000 is taken, which the compose file publishes")
    made = Stack(
        {**os.environ, "POSTGRES_PASSWORD": "0123456789abcdef", "HEADRACE_API_TOKEN": TOKEN}
    )
    try:
        began = time.monotonic()
        made("build")
        print(f"built in {time.monotonic() - began:.0f} s")
        made("up", "-d", "--scale", "worker=2")
        yield made
        print(made("logs", "--no-color", check=False)[-20_000:])
    finally:
        made("down", "-v", check=False)


def test_the_stack_becomes_healthy_and_serves(stack: Stack) -> None:
    for service in ("postgres", "redis", "web"):
        wait_until(partial(stack.is_healthy, service), limit_s=120)
    assert stack.ask("/health/ready", token="") == {"status": "ready"}
    wait_until(lambda: stack.ask("/health/ready")["leader"] is True, limit_s=30)
    wait_until(lambda: stack.ask("/health/ready")["workers"] == 2, limit_s=30)

    made = stack.ask("/create-jobs/", {})["items"]

    ends = {job["job_class"]: stack.end_of(job["id"])["status"] for job in made}
    assert ends.pop("FailedJob", "failed") in ("failed", "retrying")
    assert set(ends.values()) == {"completed"}, ends


def test_a_job_can_export_and_can_write_nowhere_else(stack: Stack) -> None:
    query = {"sql": "select n from generate_series(1, 3) n", "path": "probe.csv"}
    job = stack.ask("/jobs", {"job": "ExportQuery", "with": query, "retry": 0})

    row = stack.end_of(job["id"])

    assert row["status"] == "completed", row["error"]
    containers = stack("ps", "-q", "worker").split()
    read = ["docker", "exec", containers[0], "cat", "/app/exports/probe.csv"]
    assert subprocess.run(read, capture_output=True, text=True, check=True).stdout.count("\n") == 4
    write = ["docker", "exec", containers[0], "touch", "/app/jobs/x.py", "/app/x", "/app/runner/x"]
    assert subprocess.run(write, capture_output=True, check=False).returncode != 0


def test_the_command_line_works_in_a_container(stack: Stack) -> None:
    said = stack("run", "--rm", "-T", "worker", "run", "demo")
    assert "completed" in said
