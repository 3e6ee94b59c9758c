"""One PostgreSQL and one Valkey for all systems, and a clean place in them for each run."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import redis
from sqlalchemy.engine import make_url

from bench.rows import TABLE
from headrace.store import embedded


@dataclass
class Stand:
    """The two servers, and what the controller does with them."""

    database_url: str
    redis_url: str
    home: Path

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in the servers' own database; returns the last one's rows."""
        line = psycopg2.connect(self.database_url)
        line.autocommit = True
        try:
            with line.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            line.close()

    def fresh(self, name: str) -> str:
        """Return the URL of a new database with an empty `bench_row`; Valkey is emptied."""
        self.drop(name)
        self.execute(f'CREATE DATABASE "{name}"')
        url = self.settled(name)
        Stand(url, self.redis_url, self.home).execute(TABLE)
        return url

    def settled(self, name: str) -> str:
        """Return the URL of a database, with nothing left to write of the runs before."""
        self.execute("CHECKPOINT")
        with redis.from_url(self.redis_url) as line:
            line.flushall()
        url = make_url(self.database_url).set(database=name)
        return url.render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        try:
            self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        except psycopg2.errors.InsufficientPrivilege:
            # Autovacuum is at work there, as a superuser; without FORCE it is sent away.
            self.execute(f'DROP DATABASE IF EXISTS "{name}"')

    def versions(self) -> dict[str, str]:
        """Return what the servers are, and that they are durable."""
        with redis.from_url(self.redis_url) as line:
            told = line.info("server")
        valkey = told.get("valkey_version") or told["redis_version"]
        settings = ("server_version", "fsync", "synchronous_commit", "full_page_writes")
        values = {name: str(self.execute(f"SHOW {name}")[0][0]) for name in settings}
        return {"postgresql": values.pop("server_version"), "valkey": str(valkey), **values}


@contextmanager
def running() -> Iterator[Stand]:
    """Start both servers in a home of their own, and remove it at the end.

    Raises:
        RuntimeError: PostgreSQL would not wait for the disk; nothing would be comparable.
    """
    home = Path(tempfile.mkdtemp(prefix="headrace-bench-"))
    home.chmod(0o711)
    try:
        servers = embedded.start(home)
        stand = Stand(servers.database_url, servers.redis_url, home)
        versions = stand.versions()
        if (versions["fsync"], versions["synchronous_commit"]) != ("on", "on"):
            raise RuntimeError(f"PostgreSQL is not durable: {versions}")
        yield stand
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)
