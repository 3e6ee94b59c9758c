"""A cluster for RQ's own tools."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.store.embedded import Servers
from tests.support.cluster import Cluster, cluster_on


@pytest.fixture
def cluster(database: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    with cluster_on(Servers(database, redis_url), tmp_path) as made:
        yield made
        made.check()
