"""SIGKILL of a whole worker: idle, with a message in its hand, running."""

import signal
from pathlib import Path

import pytest

from headrace.queue.process import birth_ticks
from tests.support.cluster import Cluster
from tests.support.processes import wait_until


def held(cluster: Cluster) -> tuple[dict[str, str], Path, Path]:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    return {"reached": str(reached), "go": str(go)}, reached, go


def test_an_idle_worker_that_is_killed_takes_its_children_with_it(cluster: Cluster) -> None:
    cluster.daemon()
    worker = cluster.worker(2)
    name = cluster.wait_for_worker(worker)
    children = wait_until(lambda: len(found := worker.children()) == 2 and found)

    worker.kill()

    wait_until(lambda: all(birth_ticks(pid) is None for pid in children), limit_s=3)
    wait_until(
        lambda: (
            cluster.sql("SELECT status FROM headrace.worker WHERE name = %s", name)[0]["status"]
            == "lost"
        ),
        limit_s=3,
        what="the notice of the death",
    )


@pytest.mark.parametrize("point", ["taken", "claimed", "after-effect", "after-fence"])
def test_a_worker_killed_with_a_job_in_its_hand_loses_nothing(cluster: Cluster, point: str) -> None:
    cluster.daemon()
    cluster.worker(env=cluster.crash_at(point, parent=True))
    job = cluster.dispatch("EffectJob")
    cluster.wait_for_crash()
    cluster.worker()

    row = cluster.wait_for_status(job, "completed")

    assert row["attempt"] == (1 if point == "taken" else 2)
    assert row["retry_count"] == 0


def test_a_job_whose_worker_was_killed_is_started_again(cluster: Cluster) -> None:
    cluster.daemon()
    values, reached, _go = held(cluster)
    worker = cluster.worker()
    job = cluster.dispatch("HeldEffectJob", with_=values)
    cluster.wait_for_file(reached)
    other = cluster.worker()
    cluster.wait_for_worker(other)
    worker.kill()

    row = cluster.wait_for_status(job, "completed", limit_s=8)

    assert row["crash_count"] == 1


def test_a_job_started_before_its_workers_first_sign_of_life_is_not_taken_away(
    cluster: Cluster,
) -> None:
    cluster.daemon()
    cluster.wait_for_leader()
    jobs = [cluster.dispatch("EffectJob", with_={"hold_s": 1.5}) for _ in range(2)]
    cluster.worker(2)

    cluster.wait_all_final()

    assert cluster.unsuccessful(*jobs) == []


def test_a_drain_releases_what_outlasts_its_grace_without_spending_a_budget(
    cluster: Cluster,
) -> None:
    values, reached, _go = held(cluster)
    worker = cluster.worker()
    job = cluster.dispatch("HeldEffectJob", with_=values)
    cluster.wait_for_file(reached)
    other = cluster.dispatch("EffectJob")

    worker.signal(signal.SIGTERM)
    worker.wait(8)

    row = cluster.job(job)
    assert (row["status"], row["retry_count"], row["crash_count"]) == ("queued", 0, 0)
    assert cluster.job(other)["status"] == "queued", "a draining worker takes nothing new"
    cluster.worker()
    assert cluster.wait_for_status(job, "completed")["attempt"] == 2
    cluster.wait_all_final()


def test_a_drain_lets_a_job_end_within_its_grace(cluster: Cluster) -> None:
    values, reached, go = held(cluster)
    worker = cluster.worker()
    job = cluster.dispatch("HeldEffectJob", with_=values)
    cluster.wait_for_file(reached)

    worker.signal(signal.SIGTERM)
    go.touch()
    worker.wait(8)

    row = cluster.job(job)
    assert (row["status"], row["attempt"]) == ("completed", 1)
    assert cluster.sql("SELECT status FROM headrace.worker")[0]["status"] == "stopped"
