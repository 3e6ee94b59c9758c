"""`headrace up`: one process tree that starts, mends itself and stops as a whole."""

import os
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from headrace.store import embedded
from tests.support.cli import Headrace, Running, alive
from tests.support.ports import free_port
from tests.support.processes import deadline

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
    pytest.mark.timeout(300),
]

EACH_MINUTE = """\
name: minutely
schedule: "* * * * *"
steps:
  - {id: one, job: Fibonacci, with: {n: 3}}
"""
SLOW = "name: slow\nsteps:\n  - {id: wait, job: SlowQuery, with: {duration: 60}}\n"


@pytest.fixture
def headrace(tmp_path: Path, own_home: Path) -> Headrace:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "minutely.yaml").write_text(EACH_MINUTE)
    (folder / "slow.yaml").write_text(SLOW)
    (folder / "broken.yaml").write_text("name: broken\n")
    environ = {"HEADRACE_HOME": str(own_home), "HEADRACE_PORT": str(free_port())}
    return Headrace(tmp_path, environ)


def _ready(headrace: Headrace, up: Running, seconds: float = 40) -> None:
    url = f"http://127.0.0.1:{headrace.environ['HEADRACE_PORT']}/health/ready"
    give_up = deadline(seconds)
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        assert up.process.poll() is None, up.output()
        assert time.monotonic() < give_up, up.output()
        time.sleep(0.1)


def _processes(up: Running, count: int, seconds: float = 20) -> list[int]:
    """Wait until so many processes stand below it, and return their pids."""
    give_up = deadline(seconds)
    while len(tree := up.tree()) != count:
        assert time.monotonic() < give_up, f"{len(tree)} processes\n{up.output()}"
        time.sleep(0.05)
    return tree


def test_up_starts_everything_stops_everything_and_finds_its_data_again(
    headrace: Headrace, own_home: Path
):
    with headrace.started("up") as up:
        _ready(headrace, up)
        said = up.output()
        assert f"starting the embedded servers in {own_home}\n" in said
        assert "2 pipelines are active" in said
        assert "minutely               next due" in said
        assert "slow                   starts manually" in said
        up.wait_for("pipelines/broken.yaml:1:1")
        run_id = headrace("run", "slow", "--detach").out.strip()
        give_up = deadline(20)
        while headrace("show", run_id, "--json").json["jobs"][0]["status"] != "started":
            assert time.monotonic() < give_up, up.output()
        # What keeps the servers, the daemon, the web page, two workers of one process each.
        tree = _processes(up, 7)
        # A job runs: it has its grace of 10 s.
        up.stop()
        assert up.process.returncode == 0
        lasts = [line for line in up.output().splitlines() if " up " in line][-2:]
        assert [line.split()[-1] for line in lasts] == ["stopping", "stopped"]
        assert not [pid for pid in tree if alive(pid)]
        assert embedded.find(own_home) is None

    with headrace.started("up", "--no-web", "--workers", "1") as up:
        up.wait_for("leading, term")
        shown = headrace("show", run_id, "--json").json
        assert shown["status"] == "running"
        assert shown["jobs"][0]["retry_count"] == 0
        # The daemon may lead before the worker has its process.
        _processes(up, 4)
        assert headrace("cancel", run_id).code == 0
        up.stop(signal.SIGTERM)


def test_a_part_that_dies_is_started_again(headrace: Headrace):
    with headrace.started("up", "--workers", "1") as up:
        _ready(headrace, up)
        for pid in [pid for pid in up.tree() if _parent(pid) == up.process.pid]:
            os.kill(pid, signal.SIGKILL)
        for part in ("servers", "daemon", "worker 1", "web"):
            up.wait_for(f"{part} has exited (signal SIGKILL); restarting it")
        _ready(headrace, up)
        _processes(up, 5)
        # A job runs: it has its grace of 10 s.
        up.stop()


def test_no_part_outlives_a_killed_supervisor(headrace: Headrace, own_home: Path):
    with headrace.started("up", "--no-web") as up:
        up.wait_for("leading, term 1")
        tree = up.tree()
        up.process.kill()
        up.process.wait()
        give_up = deadline(5)
        while any(alive(pid) for pid in tree):
            assert time.monotonic() < give_up
            time.sleep(0.05)
    embedded.stop(own_home)


def test_a_taken_port_ends_2_before_anything_is_started(headrace: Headrace, own_home: Path):
    port = int(headrace.environ["HEADRACE_PORT"])
    with socket.create_server(("127.0.0.1", port)):
        done = headrace("up")
    assert done.code == 2
    assert f"127.0.0.1:{port}" in done.err
    assert embedded.find(own_home) is None


def test_a_mistake_in_the_configuration_ends_2(headrace: Headrace):
    (headrace.folder / "config.yaml").write_text("workers: many\n")
    done = headrace("up")
    assert done.code == 2
    assert "config.yaml:1:10" in done.err


def test_an_open_address_without_a_token_ends_2(headrace: Headrace):
    environ = {**headrace.environ, "HEADRACE_HOST": "0.0.0.0"}
    done = Headrace(headrace.folder, environ)("up")
    assert done.code == 2
    assert "HEADRACE_API_TOKEN" in done.err


def test_a_database_that_is_away_is_waited_for(headrace: Headrace):
    environ = {
        **headrace.environ,
        "DATABASE_URL": "postgresql://me@127.0.0.1:1/x",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    with Headrace(headrace.folder, environ).started("up", "--no-web") as up:
        up.wait_for("PostgreSQL does not answer")
        up.stop()
        assert up.process.returncode == 0
        assert up.output().count("PostgreSQL does not answer") == 1


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
