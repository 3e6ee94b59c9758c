"""The statements on a real PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.support.rows import Rows


@pytest.fixture
def rows(database: str) -> Iterator[Rows]:
    made = Rows(database)
    yield made
    made.close()
