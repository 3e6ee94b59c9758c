"""Redis Sentinel as it is run in earnest: a master, a replica, three sentinels; a password."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer, program, redis_server, wait_for_port

SERVICE = "etl"
PASSWORD = "throw-away"


@dataclass(frozen=True)
class Certificate:
    """A certificate of 127.0.0.1 that signs itself, and its key."""

    file: Path
    key: Path

    def options(self, port: int) -> list[str]:
        """Return the options of a server that listens with TLS only, asking for no certificate."""
        return [
            *("--port", "0", "--tls-port", str(port), "--tls-replication", "yes"),
            *("--tls-cert-file", str(self.file), "--tls-key-file", str(self.key)),
            *("--tls-ca-cert-file", str(self.file), "--tls-auth-clients", "no"),
        ]


def certificate(folder: Path) -> Certificate:
    """Make a certificate; skip the test where that is not possible."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl")
    made = Certificate(folder / "redis.crt", folder / "redis.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(made.key), "-out", str(made.file)],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@dataclass
class Sentinels:
    """Three sentinels and what they watch. `url` is REDIS_URL."""

    url: str
    ports: tuple[int, ...]
    servers: tuple[RedisServer, RedisServer]
    tls: Certificate | None = None

    def line(self, port: int, **options: Any) -> redis.Redis:
        """Return a client of one of the processes."""
        if self.tls is not None:
            options |= {"ssl": True, "ssl_ca_certs": str(self.tls.file)}
        return redis.Redis(port=port, host="127.0.0.1", **options)

    def master(self) -> RedisServer:
        """Return the server that the sentinels name."""
        with self.line(self.ports[0]) as asked:
            _host, port = asked.sentinel_get_master_addr_by_name(SERVICE)
        return next(one for one in self.servers if one.port == port)

    def replicates(self) -> bool:
        """Tell whether each sentinel knows the others and the replica, which is in step."""
        with suppress(redis.exceptions.RedisError, KeyError):
            for port in self.ports:
                with self.line(port) as asked:
                    seen = asked.sentinel_master(SERVICE)
                    if seen["num-other-sentinels"] < 2 or seen["num-slaves"] < 1:
                        return False
            with self.line(self.servers[1].port, password=PASSWORD) as replica:
                return bool(replica.info("replication")["master_link_status"] == "up")
        return False


@contextmanager
def sentinels(folder: Path, tls: Certificate | None = None) -> Iterator[Sentinels]:
    """Yield them, ready to fail over; with a certificate all of them speak TLS only."""
    with ExitStack() as stack:
        login = ["--requirepass", PASSWORD, "--masterauth", PASSWORD]
        login += ["--repl-diskless-sync-delay", "0"]
        ports = tuple(free_port() for _ in range(3))
        first, second = free_port(), free_port()
        servers = tuple(
            stack.enter_context(
                redis_server(folder, *login, *more, *(tls.options(port) if tls else ()), port=port)
            )
            for port, more in ((first, ()), (second, ("--replicaof", "127.0.0.1", str(first))))
        )
        for one in ports:
            stack.enter_context(_sentinel(folder, one, first, tls))
        hosts = ",".join(f"127.0.0.1:{one}" for one in ports)
        url = f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0"
        if tls is not None:
            url = f"{url.replace('redis', 'rediss', 1)}?ssl_ca_certs={tls.file}"
        made = Sentinels(url, ports, (servers[0], servers[1]), tls)
        wait_until(made.replicates, limit_s=30, what="the replica's and the sentinels' readiness")
        yield made


@contextmanager
def _sentinel(folder: Path, port: int, master: int, tls: Certificate | None) -> Iterator[None]:
    settings = folder / f"sentinel-{port}.conf"
    settings.write_text(
        f"bind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2\n"
        f"sentinel auth-pass {SERVICE} {PASSWORD}\n"
        f"sentinel down-after-milliseconds {SERVICE} 500\n"
        f"sentinel failover-timeout {SERVICE} 3000\n"
    )
    spoken = tls.options(port) if tls else ["--port", str(port)]
    with (folder / f"sentinel-{port}.log").open("wb") as log:
        command = [program(), str(settings), "--sentinel", *spoken]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for_port(port)
        yield
    finally:
        process.kill()
        process.wait()
