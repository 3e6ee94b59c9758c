"""The compose stack under load: killed, paused, upgraded to another image, and restored."""

import itertools
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

from headrace.model.version import __version__
from tests.support.engine import compose_command, need_engine
from tests.support.processes import wait_until
from tests.support.stack import Stack, images

pytestmark = pytest.mark.timeout(1500)

_JOBS = 2000
_THREADS = 4
_NEXT = f"{__version__}.post1"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    need_engine(*images())
    made = Stack(tmp_path, compose_command())
    try:
        made("build")
        made("up", "-d", "--scale", "worker=3")
        made.wait_for_all(workers=3)
        yield made
        print(made("logs", "--no-color", check=False)[-20_000:])
    finally:
        made.remove()


class Load:
    """Jobs that come all the while, each once whatever becomes of the web service."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._numbers = itertools.count(1)
        self._threads = [threading.Thread(target=self._run) for _ in range(_THREADS)]
        self.sent = 0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (number := next(self._numbers)) <= _JOBS:
            body = {
                "job": "RunSql",
                "with": {
                    "sql": "insert into public.effect values ({{ params.n }})",
                    "params": {"n": number},
                },
                "idempotency_key": f"effect-{number}",
            }
            while True:
                try:
                    self._stack.ask("/jobs", body)
                    break
                except (URLError, OSError):
                    time.sleep(0.2)
            self.sent += 1


def psql(stack: Stack, statement: str) -> str:
    named = ("psql", "-U", "headrace", "-d", "headrace", "-Atc", statement)
    return stack("exec", "-T", "postgres", *named).strip()


def statuses(stack: Stack) -> str:
    """Return how many jobs of the load have which status; pipelines have jobs beside them."""
    return psql(
        stack,
        "select status, count(*) from headrace.job where idempotency_key like 'effect-%'"
        " group by 1 order by 1",
    )


def workers(stack: Stack) -> list[str]:
    return stack("ps", "-q", "worker").split()


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def build_next(stack: Stack) -> None:
    """Make the next version's image; the stack's containers run on with the present one."""
    version = stack.folder / "runner" / "model" / "version.py"
    for file in (version, stack.folder / "pyproject.toml"):
        file.write_text(file.read_text().replace(f'"{__version__}"', f'"{_NEXT}"'))
    stack("build")


def test_jobs_survive_kills_pauses_and_an_upgrade_of_the_image_and_a_restored_backup(
    stack: Stack,
) -> None:
    psql(stack, "create table public.effect (n integer not null)")
    build_next(stack)
    load = Load(stack)
    load.start()
    wait_until(lambda: load.sent >= 200, limit_s=120, what="the load")

    killed, paused, _ = workers(stack)
    # As by the kernel: what Docker kills itself it does not start again.
    os.kill(int(docker("inspect", "--format", "{{.State.Pid}}", killed)), signal.SIGKILL)
    docker("pause", paused)
    began = load.sent
    wait_until(lambda: load.sent >= min(began + 300, _JOBS), limit_s=120, what="load beside it")
    docker("unpause", paused)

    assert _NEXT not in stack("exec", "-T", "worker", "headrace", "--version")
    assert load.sent < _JOBS
    stack("up", "-d", "--scale", "worker=3")
    load.join()
    wait_until(
        lambda: statuses(stack) == f"completed|{_JOBS}", limit_s=180, what="every job's completion"
    )

    stack.wait_for_all(workers=3)
    assert _NEXT in stack("exec", "-T", "worker", "headrace", "--version")
    counted = psql(stack, "select count(*), count(distinct n), min(n), max(n) from public.effect")
    assert counted == f"{_JOBS}|{_JOBS}|1|{_JOBS}"
    assert not re.search("Traceback", stack("logs", "--no-color", "daemon", "worker", "web"))

    backup = ("pg_dump -U headrace --format=custom headrace > /tmp/headrace.dump",)
    restore = "pg_restore --clean --if-exists --no-owner -U headrace -d headrace /tmp/headrace.dump"
    stack("exec", "-T", "postgres", "sh", "-c", *backup)
    stack("stop", "daemon", "worker", "web")
    psql(stack, "truncate headrace.job, public.effect")
    stack("exec", "-T", "postgres", "sh", "-c", restore)
    stack("up", "-d", "--scale", "worker=3")
    stack.wait_for_all(workers=3)
    assert stack.end_of(stack.job("RunSql", sql="select 1")["id"])["status"] == "completed"
    assert statuses(stack) == f"completed|{_JOBS}"
    assert psql(stack, "select count(*) from public.effect") == str(_JOBS)
