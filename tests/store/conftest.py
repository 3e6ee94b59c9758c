"""The statements on a real PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.support.rows import Rows
from tests.support.run_rows import RunRows


@pytest.fixture
def rows(database: str) -> Iterator[Rows]:
    made = Rows(database)
    yield made
    made.close()


@pytest.fixture
def made(rows: Rows) -> RunRows:
    """Rows of a database in which only a statement itself can bring them into an order."""
    (name,) = rows.sql("SELECT current_database() AS name")
    for setting in ("enable_indexscan", "enable_bitmapscan", "enable_indexonlyscan"):
        rows.sql(f'ALTER DATABASE "{name["name"]}" SET {setting} = off')
    return RunRows(rows)
