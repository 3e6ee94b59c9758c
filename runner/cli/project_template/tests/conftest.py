"""What the tests share."""

from collections.abc import Iterator

import pytest
from headrace.testing import FreshDatabase, database


@pytest.fixture
def db() -> Iterator[FreshDatabase]:
    """Give a database of the test's own, on a PostgreSQL that ends with the tests."""
    with database() as fresh:
        yield fresh
