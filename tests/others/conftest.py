"""SQLite, MariaDB and DuckDB, each a place in which the same jobs work."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from headrace.jobs.base import BaseJob
from headrace.testing import JobOutcome, run_job
from tests.support.mariadb import MariaDb, mariadb_server
from tests.support.places import NotInstalled
from tests.support.servers import connect

NAMES = ("sqlite", "mysql", "duckdb")


@dataclass(frozen=True, slots=True)
class Place:
    """A new database of one kind; `query` is what anyone else sees and does there."""

    kind: str
    url: str
    query: Callable[..., list[tuple[Any, ...]]]

    @property
    def makes(self) -> dict[str, Any]:
        """What a RunSql with a CREATE TABLE needs there."""
        return {"transaction": False} if self.kind == "mysql" else {}


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """Missing: skipped on a desk, failed in CI."""
    try:
        with mariadb_server() as server:
            yield server
    except NotInstalled as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


Places = Callable[[str], Place]


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """Make a new database of a kind."""

    def made(kind: str) -> Place:
        mariadb = lambda: request.getfixturevalue("mariadb")  # noqa: E731
        return place_in(tmp_path, kind, mariadb, request.node.nodeid)

    return made


def place_in(folder: Path, kind: str, mariadb: Callable[[], MariaDb], node: str) -> Place:
    """Return a new database of a kind: a file in the folder, or one of MariaDB named by `node`."""
    if kind == "mysql":
        return _in_mariadb(mariadb(), node)
    path = folder / f"shop.{kind}"
    return Place(kind, f"{kind}:///{path}", lambda *sql: _in_file(kind, path, sql))


@pytest.fixture(params=NAMES)
def place(places: Places, request: pytest.FixtureRequest) -> Place:
    """A new database of each kind in turn."""
    return places(request.param)


def _in_mariadb(server: MariaDb, node: str) -> Place:
    name = f"t{abs(hash(node))}"
    server.execute(
        f"CREATE DATABASE {name} CHARACTER SET utf8mb4",
        f"GRANT ALL ON {name}.* TO etl@'%'",
    )
    return Place(
        "mysql",
        server.url(name),
        lambda *sql: server.execute(*sql, user="etl", database=name),
    )


def _in_file(kind: str, path: Path, statements: tuple[str, ...]) -> list[tuple[Any, ...]]:
    if kind == "sqlite":
        with closing(sqlite3.connect(path, isolation_level=None)) as opened:
            return [opened.execute(one).fetchall() for one in statements][-1]
    with closing(duckdb.connect(str(path))) as lake:
        return [lake.execute(one).fetchall() for one in statements][-1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pipelines").mkdir()
    return tmp_path


class Runs:
    """Runs jobs as a worker runs them, with the places as connections of their kinds' names."""

    def __init__(self, database: str, project: Path) -> None:
        self.database, self.project = database, project
        self.connections: dict[str, str] = {}

    def __call__(self, job: type[BaseJob], **with_: Any) -> JobOutcome:
        return run_job(
            job,
            with_,
            database=self.database,
            connections=self.connections,
            project=self.project,
        )

    def done(self, job: type[BaseJob], **with_: Any) -> Mapping[str, Any]:
        """Run a job that has to complete, and return its result."""
        outcome = self(job, **with_)
        assert outcome.status == "completed", outcome.error
        return dict(outcome.result)

    def failed(self, job: type[BaseJob], **with_: Any) -> str:
        """Run a job that has to fail, and return what it says."""
        outcome = self(job, **with_)
        assert outcome.status == "failed", outcome.result
        return str(outcome.error)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the control database from outside."""
        with closing(connect(self.database)) as opened, opened.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture
def run(database: str, project: Path) -> Runs:
    return Runs(database, project)


@pytest.fixture
def there(run: Runs, place: Place) -> Place:
    """The place, as the connection `there`."""
    run.connections["there"] = place.url
    return place
