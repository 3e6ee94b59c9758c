"""The service behind a real socket: streams, stopping, a taken port, servers that go away."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from headrace.engine.application import Headrace
from headrace.errors import ConfigError
from headrace.store import embedded, waiting
from headrace.store.embedded import Servers
from headrace.store.migrations import upgrade
from headrace.web.serve import serve
from tests.support.processes import PATIENCE, deadline
from tests.support.silence import silent_postgres
from tests.support.web import PROJECT, client_of, installation, served


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path, port=0) as found:
        yield found


def events_of(response: httpx.Response) -> Iterator[tuple[str, dict[str, object]]]:
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


def test_a_runs_events_tell_every_change_and_end_with_it(headrace: Headrace):
    run = headrace.start_run("chain", {})
    with (
        served(headrace) as (address, _server),
        httpx.stream("GET", f"{address}/runs/{run['id']}/events", timeout=10) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        events = events_of(response)
        first = [next(events) for _ in range(4)]
        headrace.interventions.cancel_run(str(run["id"]))
        rest = list(events)

    assert [name for name, _ in first] == ["run", "job", "job", "job"]
    assert [(row["step"], row["status"]) for _, row in first[1:]] == [
        ("first", "queued"),
        ("second", "waiting"),
        ("third", "waiting"),
    ]
    assert (rest[0][0], rest[0][1]["status"]) == ("run", "cancelled")
    assert [row["status"] for name, row in rest if name == "job"] == ["cancelled"] * 3
    assert rest[-1][0] == "end"


def test_the_events_of_a_run_that_has_ended_end_at_once(headrace: Headrace):
    run = headrace.start_run("plain", {})
    headrace.interventions.cancel_run(str(run["id"]))

    with client_of(headrace) as client:
        text = client.get(f"/runs/{run['id']}/events").text

    assert text.count("event: ") == 3
    assert text.endswith("event: end\ndata: {}\n\n")


def test_the_server_stops_within_three_seconds_with_an_open_stream(headrace: Headrace):
    run = headrace.start_run("chain", {})
    opened, ended = threading.Event(), threading.Event()

    def watch(address: str) -> None:
        with httpx.stream("GET", f"{address}/runs/{run['id']}/events", timeout=20) as response:
            for _line in response.iter_lines():
                opened.set()
        ended.set()

    with served(headrace) as (address, server):
        watcher = threading.Thread(target=watch, args=(address,))
        watcher.start()
        assert opened.wait(30)
        server.stop()
        assert ended.wait(3 * PATIENCE)
        watcher.join(3)


def test_sigterm_stops_the_process_in_time_and_without_a_traceback(
    database: str, redis_url: str, tmp_path: Path
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = (
        "from headrace.engine.application import connect; from headrace.web.serve import serve\n"
        "serve(connect()); print('left')"
    )
    environ = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "HEADRACE_HOME": str(tmp_path / "home"),
        "HEADRACE_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()

    assert (process.returncode, out, errors) == (0, "left\n", "")


def test_a_taken_port_is_named_with_the_variable_that_changes_it(
    database: str, redis_url: str, tmp_path: Path
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            installation(database, redis_url, tmp_path, port=port) as found,
            pytest.raises(ConfigError, match=rf"{port}.*HEADRACE_PORT") as refused,
        ):
            serve(found)

    assert refused.value.exit_code == 2


def test_requests_answer_503_while_postgresql_is_away_and_go_on_afterwards(
    own_servers: Servers, own_home: Path, tmp_path: Path
):
    upgrade(own_servers.database_url)
    with (
        installation(own_servers.database_url, own_servers.redis_url, tmp_path) as found,
        client_of(found) as client,
    ):
        assert client.get("/health/ready").status_code == 200
        embedded.stop(own_home)
        answers = [client.get("/jobs"), client.post("/create-jobs/"), client.get("/pipelines")]
        ready, metrics = client.get("/health/ready"), client.get("/metrics")
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "postgres-unavailable")
            assert answer.headers["Retry-After"] == "5"
            assert "Traceback" not in answer.text
        assert ready.status_code == 503
        assert set(ready.json()["missing"]) == {"postgresql", "redis"}
        assert client.get("/health/live").status_code == 200
        assert 'headrace_up{server="postgresql"} 0.0' in metrics.text
        assert 'headrace_up{server="redis"} 0.0' in metrics.text

        embedded.start(own_home)
        assert client.get("/jobs").status_code == 200
        assert client.post("/create-jobs/").status_code == 201
        assert client.get("/health/ready").status_code == 200


def test_requests_answer_503_while_postgresql_is_silent_and_go_on_afterwards(
    own_servers: Servers, own_home: Path, tmp_path: Path
):
    upgrade(own_servers.database_url)
    with (
        installation(own_servers.database_url, own_servers.redis_url, tmp_path) as found,
        client_of(found) as client,
    ):
        assert client.get("/jobs").status_code == 200
        with silent_postgres(own_home):
            ready = client.get("/health/ready")
            answers = [client.get("/jobs"), client.post("/create-jobs/")]

        assert (ready.status_code, set(ready.json()["missing"])) == (503, {"postgresql"})
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "postgres-unavailable")
            assert "no answer within" in answer.json()["detail"]
        assert client.get("/jobs").status_code == 200
        assert client.post("/create-jobs/").status_code == 201
        assert client.get("/health/ready").status_code == 200


def test_a_statement_takes_as_long_as_it_needs_while_its_server_answers_others(
    headrace: Headrace,
):
    with client_of(headrace), headrace.database.transaction() as tx:
        slept = tx.connection.exec_driver_sql("SELECT pg_sleep(7)::text, 'done'").one()

    assert slept[1] == "done"


def test_readiness_is_told_though_every_thread_waits_for_postgresql(
    own_servers: Servers, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Nobody else gives up before the server speaks again.
    monkeypatch.setattr(waiting, "_PATIENCE_S", 60.0)
    upgrade(own_servers.database_url)
    settings = {"port": 0}
    with (
        installation(
            own_servers.database_url, own_servers.redis_url, tmp_path, **settings
        ) as found,
        served(found) as (address, _server),
        ThreadPoolExecutor(12) as crowd,
    ):
        with silent_postgres(own_home):
            asked = [crowd.submit(httpx.get, f"{address}/jobs", timeout=90) for _ in range(12)]
            ready = httpx.get(f"{address}/health/ready", timeout=40)
            told_first = not any(one.done() for one in asked)
        statuses = {one.result().status_code for one in asked}

    assert ready.status_code == 503
    assert told_first
    assert statuses == {200}


def wait_for(there: object, timeout_s: float = 40) -> None:
    """Wait until a condition holds; what cannot connect yet does not count."""
    assert callable(there)
    until = deadline(timeout_s)
    while time.monotonic() < until:
        try:
            if there():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("it did not come up")
