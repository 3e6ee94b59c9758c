"""Jobs run as a worker runs them, without queue and daemon."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.support.attempts import JobRunner, engine_for


@pytest.fixture
def target(empty_database: str) -> Iterator[Engine]:
    engine = engine_for(empty_database)
    yield engine
    engine.dispose()


@pytest.fixture
def run_job(target: Engine) -> JobRunner:
    return JobRunner({None: target})


@pytest.fixture
def execute(target: Engine):
    """Run SQL from outside, committed at once."""

    def execute(sql: str) -> None:
        with target.begin() as connection:
            connection.execute(text(sql))

    return execute


@pytest.fixture
def query(target: Engine):
    """Return what anyone else sees in the database, as a list of tuples."""

    def query(sql: str) -> list[tuple[Any, ...]]:
        with target.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    return query
