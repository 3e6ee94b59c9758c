"""What a job starts in a session of its own, its parent dead or alive, and when that ends."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from headrace.queue.process import birth_ticks
from tests.support.cluster import Cluster
from tests.support.processes import Process, wait_until

Detach = Callable[..., tuple[str, list[int]]]


@pytest.fixture
def detach(cluster: Cluster) -> Iterator[Detach]:
    """Dispatch a job, wait until it has detached two processes, return it with their pids."""
    started: list[int] = []

    def dispatch(name: str = "pids", **options: Any) -> tuple[str, list[int]]:
        pid_file = cluster.folder / name
        values = {"pid_file": str(pid_file), "go": str(go(cluster))}
        job = cluster.dispatch("DetachingJob", with_=values, **options)
        pids = wait_until(lambda: len(found := pids_in(pid_file)) == 2 and found)
        started.extend(pids)
        return job, pids

    yield dispatch
    for pid in started:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def go(cluster: Cluster) -> Path:
    return cluster.folder / "go"


def pids_in(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if birth_ticks(pid) is not None]


def all_end(pids: list[int]) -> None:
    wait_until(lambda: not alive(pids), limit_s=3, what="the end of what was detached")


def none_is_left_over(worker: Process, processes: int) -> None:
    """The worker has its processes again, and no zombie beside them."""
    wait_until(lambda: len(worker.children()) == processes, what="the reaping")


def test_what_a_job_has_detached_ends_at_its_timeout(cluster: Cluster, detach: Detach) -> None:
    worker = cluster.worker()
    job, pids = detach(timeout=1, retry=0)

    cluster.wait_for_status(job, "failed")

    all_end(pids)
    none_is_left_over(worker, 1)
    assert cluster.attempts(job)[0]["outcome"] == "timed_out"
    cluster.wait_for_status(cluster.dispatch("EffectJob"), "completed")


def test_what_a_job_has_detached_ends_with_its_killed_process(
    cluster: Cluster, detach: Detach
) -> None:
    worker = cluster.worker()
    job, pids = detach()

    os.kill(worker.children()[0], signal.SIGKILL)

    all_end(pids)
    none_is_left_over(worker, 1)
    assert cluster.wait_for_status(job, "completed")["attempt"] == 2


def test_what_a_neighbour_has_detached_is_left_alone(cluster: Cluster, detach: Detach) -> None:
    worker = cluster.worker(2)
    neighbour, kept = detach("kept")
    job, pids = detach(timeout=1, retry=0)

    cluster.wait_for_status(job, "failed")

    all_end(pids)
    none_is_left_over(worker, 2)
    assert alive(kept) == kept
    go(cluster).touch()
    cluster.wait_for_status(neighbour, "completed")
    assert cluster.unsuccessful(neighbour) == []


def test_what_a_completed_job_has_detached_ends_with_it(cluster: Cluster, detach: Detach) -> None:
    cluster.worker()
    job, pids = detach()

    go(cluster).touch()
    cluster.wait_for_status(job, "completed")

    assert not alive(pids)


def test_what_a_job_has_detached_is_all_that_outlives_a_killed_worker(
    cluster: Cluster, detach: Detach
) -> None:
    """The limit of it: nobody is left who would adopt it. The guide says so."""
    cluster.daemon()
    worker = cluster.worker()
    job, pids = detach()
    child = worker.children()[0]

    worker.kill()

    wait_until(lambda: birth_ticks(child) is None, limit_s=3)
    assert alive(pids) == pids
    cluster.worker()
    assert cluster.wait_for_status(job, "completed")["attempt"] == 2
