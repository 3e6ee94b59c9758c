"""A second PostgreSQL of another major, and jobs that work there."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from headrace.model.connection import NamedConnection
from tests.support.by_hand import ByHand, by_hand
from tests.support.places import PASSWORD, NotInstalled, Server, debian_programs, second_server
from tests.support.servers import connect


@pytest.fixture(scope="session")
def debian() -> Iterator[Server]:
    """PostgreSQL 15, with the ordinary role `etl`."""
    try:
        with second_server(debian_programs(), "max_prepared_transactions=5") as server:
            server.execute(f"CREATE ROLE etl LOGIN PASSWORD '{PASSWORD}'")
            yield server
    except NotInstalled as reason:
        pytest.skip(str(reason))


@pytest.fixture
def place(debian: Server, request: pytest.FixtureRequest) -> str:
    """The name of a new database on the second server that belongs to `etl`."""
    name = f"t{abs(hash(request.node.nodeid))}"
    debian.execute(f"CREATE DATABASE {name} OWNER etl")
    return name


Working = Callable[..., ByHand]


@pytest.fixture
def working(database: str, redis_url: str, tmp_path: Path) -> Iterator[Working]:
    """Make an installation whose jobs may name the connections that are given: URLs, or whole."""
    with ExitStack() as stack:

        def made(control: str = database, **connections: str | NamedConnection) -> ByHand:
            named: Mapping[str, NamedConnection] = {
                name: NamedConnection(given) if isinstance(given, str) else given
                for name, given in connections.items()
            }
            return stack.enter_context(by_hand(control, redis_url, tmp_path, named))

        yield made


def run_sql(hand: ByHand, sql: str, **with_: Any) -> dict[str, Any]:
    """Run one RunSql job and return its row."""
    return run_step(hand, "RunSql", sql=sql, **with_)


def run_step(hand: ByHand, job_class: str, **with_: Any) -> dict[str, Any]:
    """Run one job and return its row."""
    job = hand.headrace.dispatcher.dispatch(job_class, with_, retry=0)
    hand.work()
    row = hand.headrace.database.row("job", id=job)
    assert row is not None
    return dict(row)


def value(row: Mapping[str, Any]) -> Any:
    """Return the first value of a job's result."""
    assert row["status"] == "completed", row["error"]
    return next(iter(row["result"]["rows"][0].values()))


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Return what anyone else sees."""
    with closing(connect(url)) as opened, opened.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []
