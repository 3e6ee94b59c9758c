"""A Redis that answers and refuses: full, read-only, a key of another type, a login, another host.

The rows are the truth: a dispatch is accepted, the lead is kept, the reason is told once, and what
was not sent is sent when Redis takes messages again.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from headrace.store.embedded import Servers
from tests.support.cluster import Cluster, cluster_on, effect_job
from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer, redis_server
from tests.support.silence import silent_redis
from tests.support.web import client_of

Fault = Callable[[redis.Redis, Cluster], None]


def _fill(line: redis.Redis, _cluster: Cluster) -> None:
    line.config_set("maxmemory-policy", "noeviction")
    line.config_set("maxmemory", "1")


def _empty(line: redis.Redis, _cluster: Cluster) -> None:
    line.config_set("maxmemory", "0")


def _follow(line: redis.Redis, _cluster: Cluster) -> None:
    line.replicaof("127.0.0.1", str(free_port()))


def _lead(line: redis.Redis, _cluster: Cluster) -> None:
    line.replicaof("NO", "ONE")


def _spoil(line: redis.Redis, cluster: Cluster) -> None:
    line.set(cluster.keys.queue("medium"), "a text")


def _mend(line: redis.Redis, cluster: Cluster) -> None:
    line.delete(cluster.keys.queue("medium"))


def _lock(line: redis.Redis, _cluster: Cluster) -> None:
    line.config_set("requirepass", "secret")
    line.client_kill_filter(_type="normal", skipme=True)


def _unlock(line: redis.Redis, _cluster: Cluster) -> None:
    line.config_set("requirepass", "")


FAULTS: dict[str, tuple[Fault, Fault, str]] = {
    "full": (_fill, _empty, "Redis is full"),
    "read-only": (_follow, _lead, "Redis is read-only"),
    "wrong-type": (_spoil, _mend, "is of another type"),
    "login": (_lock, _unlock, "Redis refuses the login"),
}


@contextmanager
def on(server: RedisServer, database: str, folder: Path) -> Iterator[Cluster]:
    servers = Servers(database, server.url)
    env = {"HEADRACE_LEASE_S": "4", "TEST_SWEEP_S": "1"}
    with cluster_on(servers, folder, env=env) as cluster:
        yield cluster
        cluster.check()


def term(cluster: Cluster) -> object:
    return cluster.sql("SELECT term FROM headrace.leader")[0]["term"]


def wait_for_ticks(cluster: Cluster, count: int) -> None:
    """Wait until the daemon has renewed its lease so often, and has swept meanwhile."""
    for _ in range(count):
        (before,) = cluster.sql("SELECT expires_at FROM headrace.leader")
        later = partial(
            cluster.sql, "SELECT 1 FROM headrace.leader WHERE expires_at > %s", before["expires_at"]
        )
        wait_until(later, limit_s=30, what="a tick")


@pytest.mark.parametrize("kind", FAULTS)
def test_a_dispatch_is_accepted_and_the_lead_kept_while_redis_refuses(
    kind: str, database: str, tmp_path: Path
) -> None:
    begin, end, told = FAULTS[kind]
    with redis_server(tmp_path) as server, on(server, database, tmp_path) as cluster:
        # One connection that was let in before.
        line = redis.Redis.from_url(server.url, single_connection_client=True)
        line.ping()
        daemon, worker = cluster.daemon(), cluster.worker()
        cluster.wait_for_leader()
        cluster.wait_for_worker(worker)
        first = term(cluster)
        begin(line, cluster)
        with client_of(cluster.headrace) as client:
            answer = client.post("/jobs", json={"job": effect_job("EffectJob")})
            assert (answer.status_code, answer.json()["status"]) == (201, "queued")
            wait_until(lambda: told in daemon.text(), limit_s=30, what="the reason")
            wait_for_ticks(cluster, 4)
            if kind != "login":
                assert client.get("/health/ready").status_code == 200
        end(line, cluster)

        cluster.wait_for_status(answer.json()["id"], "completed", limit_s=45)
        assert term(cluster) == first
        for process in (daemon, worker):
            assert "Traceback" not in process.text()
            assert process.text().count(told) <= (1 if process is daemon else 3), process.text()
        wait_until(lambda: "continuing after" in daemon.text(), limit_s=30)
        assert daemon.text().count("continuing after") == 1


def test_the_lead_is_kept_while_redis_is_silent(database: str, tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, on(server, database, tmp_path) as cluster:
        daemon = cluster.daemon()
        cluster.wait_for_leader()
        cluster.daemon()
        first = term(cluster)
        with silent_redis(server.url):
            job = cluster.dispatch("EffectJob")
            # That is longer than the lease.
            wait_for_ticks(cluster, 3)
            assert term(cluster) == first
        cluster.worker()

        cluster.wait_for_status(job, "completed", limit_s=20)
        assert daemon.text().count("Redis does not answer") == 1


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as looking:
        try:
            looking.connect(("192.0.2.1", 9))
            return str(looking.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def test_a_redis_in_protected_mode_is_an_outage_with_its_reason(
    database: str, tmp_path: Path
) -> None:
    address = _own_address()
    if address.startswith("127."):
        pytest.skip("this host has no address but loopback")
    options = ("--bind", "0.0.0.0", "--protected-mode", "yes")
    with redis_server(tmp_path, *options) as server:
        outside = RedisServer(f"redis://{address}:{urlsplit(server.url).port}/0", server.process)
        with on(outside, database, tmp_path) as cluster:
            daemon, worker = cluster.daemon(), cluster.worker()
            job = cluster.dispatch("EffectJob")
            told = "Redis refuses connections from other hosts"
            wait_until(lambda: told in daemon.text() and told in worker.text(), limit_s=30)
            with client_of(cluster.headrace) as client:
                assert told in client.get("/health/ready").json()["missing"]["redis"]
            server.line.config_set("protected-mode", "no")

            cluster.wait_for_status(job, "completed", limit_s=45)
            assert daemon.text().count(told) == 1
            assert "Traceback" not in daemon.text() + worker.text()


def test_messages_of_killed_attempts_leave_nothing_in_redis(cluster: Cluster) -> None:
    cluster.daemon()
    cluster.worker(2)
    endless = [cluster.dispatch("EndlessJob", timeout=1, retry=0) for _ in range(3)]
    crashing = cluster.dispatch("SegfaultJob")

    cluster.wait_all_final(limit_s=40)

    for job in (*endless, crashing):
        assert cluster.job(job)["status"] == "failed"
    hashes = cluster.keys.message("*")
    wait_until(lambda: not list(cluster.redis.scan_iter(hashes)), what="an empty Redis")


def test_a_killed_workers_messages_leave_nothing_in_redis(cluster: Cluster) -> None:
    cluster.daemon()
    worker = cluster.worker()
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    job = cluster.dispatch("HeldJob", with_={"reached": str(reached), "go": str(go)})
    cluster.wait_for_file(reached)
    worker.kill()
    go.touch()
    cluster.worker()

    cluster.wait_for_status(job, "completed", limit_s=45)
    hashes = cluster.keys.message("*")
    wait_until(lambda: not list(cluster.redis.scan_iter(hashes)), what="an empty Redis")
