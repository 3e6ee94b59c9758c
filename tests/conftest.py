"""What every test may ask for: servers, a database of its own, an empty Redis."""

import faulthandler
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from _pytest.faulthandler import fault_handler_stderr_fd_key

from headrace.errors import EmbeddedError
from headrace.store.embedded import Servers
from tests.support.memory_folders import memory_folder
from tests.support.problem_shapes import look_at_each_problem
from tests.support.servers import (
    available_servers,
    create_database,
    database_name,
    drop_database,
    embedded_servers,
)

# Tests start hundreds of processes. Without bytecode each compiles all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault(
    "PYTHONPYCACHEPREFIX", str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
)

look_at_each_problem()

# How much later than its timeout a test's process ends that heard no signal.
_DEAF_S = 60


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests out as `make test` asks for; see `tests/support/distribution.py`."""
    if config.getvalue("dist") != "loadscope":
        return None
    from tests.support.distribution import Distribution

    config.option.loadscopereorder = False
    return Distribution(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Take what collecting makes out of the garbage collector's sight: it lives to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
        # Since no old objects are left to compare with, all new ones would be gone through often.
        gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        from tests.support.distribution import longest_first

        longest_first(items)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End the process of a test that its timeout's signal does not reach, inside libpq say."""
    marker = item.get_closest_marker("timeout")
    given = marker.args[0] if marker else item.config.getoption("timeout")
    limit = float(given or item.config.getini("timeout"))
    faulthandler.dump_traceback_later(
        limit + _DEAF_S, exit=True, file=item.config.stash[fault_handler_stderr_fd_key]
    )
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what tests have measured and claim nothing about: `record_property("told", …)`."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {text}")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and Redis, started once. Missing: skipped on a desk, failed in CI."""
    try:
        with memory_folder("servers-") as home, available_servers(home) as found:
            yield found
    except EmbeddedError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL and Redis here: {error}")


@pytest.fixture(scope="session")
def template_database(servers: Servers) -> Iterator[str]:
    """The URL of a migrated database that nobody connects to, so that it can be cloned."""
    from headrace.store.migrations import upgrade

    url = create_database(servers.database_url)
    upgrade(url)
    yield url
    drop_database(servers.database_url, url)


@pytest.fixture
def database(servers: Servers, template_database: str) -> Iterator[str]:
    """The URL of a fresh database with Headrace's schema, dropped after the test."""
    url = create_database(servers.database_url, template=database_name(template_database))
    yield url
    drop_database(servers.database_url, url)


@pytest.fixture
def empty_database(servers: Servers) -> Iterator[str]:
    """The URL of a database with nothing in it: a target, or one to be migrated."""
    url = create_database(servers.database_url)
    yield url
    drop_database(servers.database_url, url)


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The URL of a Redis database, emptied."""
    with redis.Redis.from_url(servers.redis_url) as client:
        client.flushdb()
    return servers.redis_url


@pytest.fixture
def seeds() -> Any:
    """The seeds of a property's cases; see `tests/support/generated.py`."""
    from tests.support.generated import Seeds

    return Seeds()


@pytest.fixture
def own_home() -> Iterator[Path]:
    """An empty HEADRACE_HOME."""
    with memory_folder("home-") as home:
        yield home


@pytest.fixture
def own_servers(own_home: Path) -> Iterator[Servers]:
    """Embedded servers of this test alone in `own_home`; it may kill, pause or restart them."""
    with embedded_servers(own_home) as found:
        yield found
