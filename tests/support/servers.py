"""Real PostgreSQL and Redis for the tests, wherever they can be had; never a stand-in.

In this order: the servers that TEST_DATABASE_URL and TEST_REDIS_URL name; Docker, through
testcontainers, where TEST_WITH_DOCKER=1 asks for it; the embedded servers. An engine that happens
to answer changes nothing: it may not have the images, and both answers must mean the same.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import psycopg2.errors
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, connection

from headrace.store import embedded
from headrace.store.embedded import Servers

POSTGRES_IMAGE = "postgres:18-alpine"
REDIS_IMAGE = "valkey/valkey:9-alpine"
_numbers = count(1)
# Tries, a tenth of a second apart.
_PATIENCE = 100


@contextlib.contextmanager
def available_servers(home: Path, environ: Mapping[str, str] = os.environ) -> Iterator[Servers]:
    """Yield servers that are ready; what was started here is stopped at the end.

    `home` is an empty folder for the embedded servers.
    """
    database_url, redis_url = environ.get("TEST_DATABASE_URL"), environ.get("TEST_REDIS_URL")
    if database_url and redis_url:
        yield Servers(database_url, redis_url)
    elif docker_wanted(environ):
        with _containers() as found:
            yield Servers(database_url or found.database_url, redis_url or found.redis_url)
    else:
        with embedded_servers(home) as found:
            _spare_the_disk(home)
            yield Servers(database_url or found.database_url, redis_url or found.redis_url)


@contextlib.contextmanager
def embedded_servers(home: Path) -> Iterator[Servers]:
    """Yield embedded servers of one's own, to be killed or paused at will."""
    try:
        yield embedded.start(home)
    finally:
        embedded.stop(home)


def _spare_the_disk(home: Path) -> None:
    """Let the server of many tests forget what it has committed if the machine loses its power.

    A killed process loses nothing thereby.
    """
    with (home / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("fsync = off\nfull_page_writes = off\n")
    pid = (home / "postgres" / "postmaster.pid").read_text().splitlines()[0]
    os.kill(int(pid), signal.SIGHUP)


def docker_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the tests are to use Docker."""
    return environ.get("TEST_WITH_DOCKER") == "1"


def connect(database_url: str) -> connection:
    """Return an autocommit connection, for what a test arranges or looks at from outside."""
    opened = psycopg2.connect(database_url)
    opened.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    return opened


def create_database(server_url: str, *, template: str | None = None) -> str:
    """Create a database under a name that is free, and return its URL."""
    name = f"headrace_test_{os.getpid()}_{next(_numbers)}"
    clause = f' TEMPLATE "{template}"' if template else ""
    if _has_strategies(server_url):
        # The other strategy writes each page of the template into the log: twice the work.
        clause += " STRATEGY file_copy"
    _administer(server_url, f'CREATE DATABASE "{name}"{clause}')
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def drop_database(server_url: str, database_url: str) -> None:
    """Drop a database although connections to it are open."""
    statement = f'DROP DATABASE IF EXISTS "{database_name(database_url)}" WITH (FORCE)'
    for _ in range(_PATIENCE):
        try:
            _administer(server_url, statement)
        except psycopg2.errors.InsufficientPrivilege:
            # An autovacuum worker is at it, which an ordinary role cannot end: it ends by itself.
            time.sleep(0.1)
        else:
            return
    _administer(server_url, statement)


def database_name(database_url: str) -> str:
    """Return the name of the database that a URL leads to."""
    return urlsplit(database_url).path.lstrip("/")


@cache
def _administrator(server_url: str) -> connection:
    """The one connection of this process that makes and drops databases there.

    Two thousand tests have a database of their own, and a connection costs the server a third of
    what making one does.
    """
    return connect(server_url)


@cache
def _has_strategies(server_url: str) -> bool:
    return _administrator(server_url).server_version >= 150000


def _administer(server_url: str, statement: str) -> None:
    try:
        with _administrator(server_url).cursor() as cursor:
            cursor.execute(statement)
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        # Its server has been stopped since, or has ended it.
        if not _administrator(server_url).closed:
            raise
        _administrator.cache_clear()
        with _administrator(server_url).cursor() as cursor:
            cursor.execute(statement)


@contextlib.contextmanager
def _containers() -> Iterator[Servers]:
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.community.redis import RedisContainer

    with (
        PostgresContainer(POSTGRES_IMAGE, driver=None) as postgres,
        RedisContainer(REDIS_IMAGE) as redis,
    ):
        address = f"{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}"
        yield Servers(postgres.get_connection_url(), f"redis://{address}/0")
