"""Hooks under a stock RQ worker, and where a worker dies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.store.embedded import Servers
from tests.queue.test_rq_tools import rq
from tests.support.cluster import Cluster, cluster_on
from tests.support.processes import wait_until


@pytest.fixture
def cluster(database: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    config = {"hooks": ["tests.support.hooks_noted"]}
    env = {"HOOKS_NOTED": str(tmp_path / "noted")}
    with cluster_on(Servers(database, redis_url), tmp_path, config=config, env=env) as made:
        yield made
        made.check()


def noted(cluster: Cluster) -> list[str]:
    file = cluster.folder / "noted"
    return file.read_text().splitlines() if file.exists() else []


def test_a_stock_worker_calls_the_hooks(cluster: Cluster) -> None:
    well = cluster.dispatch("EffectJob", queue="high")
    failing = cluster.dispatch("FailOnceEffectJob", retry=0, queue="low")

    rq(cluster, "worker", "--burst", "high", "low")

    assert noted(cluster) == [
        f"before {well} 1 started",
        f"after {well} 1 completed",
        f"before {failing} 1 started",
        f"failure {failing} 1 failed",
        f"after {failing} 1 failed",
    ]


@pytest.mark.faults
def test_a_worker_that_dies_after_the_completion_calls_no_hook_and_none_is_called_again(
    cluster: Cluster,
) -> None:
    job = cluster.dispatch("EffectJob")
    cluster.worker(env=cluster.crash_at("after-commit"))
    cluster.wait_for_crash()
    cluster.wait_for_status(job, "completed")
    other = cluster.dispatch("EffectJob")

    wait_until(lambda: f"after {other} 1 completed" in noted(cluster), what="the next job")

    assert [line for line in noted(cluster) if job in line] == [f"before {job} 1 started"]


@pytest.mark.faults
def test_an_attempt_that_dies_with_its_worker_is_told_of_by_its_beginning_alone(
    cluster: Cluster,
) -> None:
    job = cluster.dispatch("EffectJob")
    cluster.worker(env=cluster.crash_at("after-effect"))
    cluster.wait_for_crash()
    cluster.wait_for_status(job, "completed")

    wait_until(lambda: f"after {job} 2 completed" in noted(cluster), what="the second attempt")

    assert noted(cluster) == [
        f"before {job} 1 started",
        f"before {job} 2 started",
        f"after {job} 2 completed",
    ]
