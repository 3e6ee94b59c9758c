"""Servers that are stopped as they stand: there, connected, and silent."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis


def server_processes(home: Path) -> list[int]:
    """The postmaster first: once it is stopped there are no new ones."""
    pid = int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@contextmanager
def silent_postgres(home: Path) -> Iterator[None]:
    """Stop the embedded PostgreSQL and all that serves a connection, and let it go on."""
    os.kill(server_processes(home)[0], signal.SIGSTOP)
    stopped = server_processes(home)
    try:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def silent_redis(url: str) -> Iterator[None]:
    """Stop the embedded Valkey, and let it go on."""
    with redis.Redis.from_url(url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
