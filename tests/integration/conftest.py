"""Jobs run as a worker runs them, without queue and daemon."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from tests.support.attempts import JobRunner, engine_for
from tests.support.places import PASSWORD, NotInstalled, Server, debian_programs, second_server
from tests.support.statements import Told, sent


@pytest.fixture
def target(empty_database: str) -> Iterator[Engine]:
    engine = engine_for(empty_database)
    yield engine
    engine.dispose()


@pytest.fixture
def run_job(target: Engine) -> JobRunner:
    return JobRunner({None: target})


@pytest.fixture
def outside(target: Engine) -> Iterator[Engine]:
    """Who arranges and looks; keeps its connection, and none of it is a job's."""
    engine = create_engine(target.url)
    yield engine
    engine.dispose()


@pytest.fixture
def execute(outside: Engine):
    """Run SQL from outside, committed at once."""

    def execute(sql: str) -> None:
        with outside.begin() as connection:
            connection.execute(text(sql))

    return execute


@pytest.fixture
def query(outside: Engine):
    """Return what anyone else sees in the database, as a list of tuples."""

    def query(sql: str) -> list[tuple[Any, ...]]:
        with outside.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    return query


@pytest.fixture
def told(target: Engine) -> Told:
    """Return the rows of a template's statement; what it changes is taken back."""

    def told(template: str, **values: Any) -> list[tuple[Any, ...]]:
        with target.connect() as connection:
            return [tuple(row) for row in sent(connection, template, **values)]

    return told


@pytest.fixture(scope="session")
def second_server_of_another_major() -> Iterator[Server]:
    """A second server; its settings are unlike the first one's wherever a copy might notice."""
    unlike = ("datestyle=German, DMY", "intervalstyle=sql_standard", "extra_float_digits=0")
    try:
        with second_server(
            debian_programs(),
            *unlike,
            "timezone=Asia/Kolkata",
            # Tells which statements the server has compiled, and with an estimate that is a fifth
            # of the default: other catalogs are larger.
            "shared_preload_libraries=pg_stat_statements",
            "jit_above_cost=20000",
        ) as server:
            server.execute(
                f"CREATE ROLE etl LOGIN PASSWORD '{PASSWORD}' NOSUPERUSER",
                "CREATE EXTENSION pg_stat_statements",
            )
            yield server
    except NotInstalled as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture
def second(second_server_of_another_major: Server) -> Iterator[Engine]:
    """A new database on a server of another major version, as an ordinary role that owns it."""
    server = second_server_of_another_major
    server.execute("CREATE DATABASE other OWNER etl")
    engine = engine_for(server.url_for("other", "etl"))
    yield engine
    engine.dispose()
    server.execute("DROP DATABASE other WITH (FORCE)")
