"""A cluster a test, and the invariants after each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.store.embedded import Servers
from headrace.store.migrations import upgrade
from tests.support.cluster import Cluster, cluster_on


@pytest.fixture
def cluster(database: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    """On the session's servers. Whatever the test did, the invariants hold at its end."""
    with cluster_on(Servers(database, redis_url), tmp_path, env={"HEADRACE_LEASE_S": "4"}) as made:
        yield made
        made.check()


@pytest.fixture
def own_cluster(own_servers: Servers, own_home: Path, tmp_path: Path) -> Iterator[Cluster]:
    """On servers of its own, which the test may stop."""
    upgrade(own_servers.database_url)
    with cluster_on(own_servers, tmp_path, env={"HEADRACE_LEASE_S": "4"}) as made:
        yield made
        made.check()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.faults)
