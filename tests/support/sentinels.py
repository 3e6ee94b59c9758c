"""Redis Sentinel as it is run in earnest: a master, a replica, three sentinels; a password."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.processes import deadline, wait_until
from tests.support.redis_server import RedisServer, program, redis_server

SERVICE = "etl"
PASSWORD = "throw-away"


@dataclass
class Sentinels:
    """Three sentinels and what they watch. `url` is REDIS_URL."""

    url: str
    ports: tuple[int, ...]
    servers: tuple[RedisServer, RedisServer]

    def master(self) -> RedisServer:
        """Return the server that the sentinels name."""
        with redis.Redis(port=self.ports[0]) as asked:
            _host, port = asked.sentinel_get_master_addr_by_name(SERVICE)
        return next(one for one in self.servers if f":{port}/" in one.url)

    def replicates(self) -> bool:
        """Tell whether each sentinel knows the others and the replica, which is in step."""
        with suppress(redis.exceptions.RedisError, KeyError):
            for port in self.ports:
                with redis.Redis(port=port) as asked:
                    seen = asked.sentinel_master(SERVICE)
                    if seen["num-other-sentinels"] < 2 or seen["num-slaves"] < 1:
                        return False
            with redis.Redis.from_url(self.servers[1].url, password=PASSWORD) as replica:
                return bool(replica.info("replication")["master_link_status"] == "up")
        return False


@contextmanager
def sentinels(folder: Path) -> Iterator[Sentinels]:
    """Yield them, ready to fail over."""
    with ExitStack() as stack:
        login = ("--requirepass", PASSWORD, "--masterauth", PASSWORD, "--repl-diskless-sync-delay")
        first = stack.enter_context(redis_server(folder, *login, "0"))
        port = first.url.rpartition(":")[2].partition("/")[0]
        other = ("--replicaof", "127.0.0.1", port)
        second = stack.enter_context(redis_server(folder, *login, "0", *other))
        ports = tuple(free_port() for _ in range(3))
        for one in ports:
            stack.enter_context(_sentinel(folder, one, int(port)))
        hosts = ",".join(f"127.0.0.1:{one}" for one in ports)
        url = f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0"
        made = Sentinels(url, ports, (first, second))
        wait_until(made.replicates, limit_s=30, what="the replica's and the sentinels' readiness")
        yield made


@contextmanager
def _sentinel(folder: Path, port: int, master_port: int) -> Iterator[None]:
    settings = folder / f"sentinel-{port}.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {master_port} 2\n"
        f"sentinel auth-pass {SERVICE} {PASSWORD}\n"
        f"sentinel down-after-milliseconds {SERVICE} 500\n"
        f"sentinel failover-timeout {SERVICE} 3000\n"
    )
    with (folder / f"sentinel-{port}.log").open("wb") as log:
        command = [program(), str(settings), "--sentinel"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    limit = deadline(10)
    try:
        while time.monotonic() < limit:
            with suppress(redis.exceptions.ConnectionError), redis.Redis(port=port) as asked:
                asked.ping()
                break
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()
