"""SIGKILL of a worker's child, at each point of an attempt where it makes a difference."""

import os
import signal

import pytest

from tests.support.cluster import Cluster

# Which attempt completes the job, and what stands on record of the one before.
POINTS = {
    "taken": (1, []),
    "claimed": (2, ["crashed"]),
    "before-effect": (2, ["crashed"]),
    "after-effect": (2, ["crashed"]),
    "after-target": (2, ["crashed"]),
    "after-fence": (2, ["crashed"]),
    "after-commit": (1, []),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_child_killed_at_any_point_leaves_one_effect(cluster: Cluster, point: str) -> None:
    attempt, record = POINTS[point]
    cluster.daemon()
    cluster.worker(env=cluster.crash_at(point))
    job = cluster.dispatch("EffectJob")
    cluster.wait_for_crash()

    row = cluster.wait_for_status(job, "completed")

    assert row["attempt"] == attempt
    assert [one["outcome"] for one in cluster.attempts(job)] == record
    assert cluster.effects(job) == 1


@pytest.mark.parametrize("point", ["taken", "taken-ahead", "claimed", "after-commit"])
def test_a_child_killed_between_noops_loses_none(cluster: Cluster, point: str) -> None:
    """The short path: a job's end and the next one's start share a commit."""
    cluster.daemon()
    jobs = [cluster.dispatch("NoopJob") for _ in range(30)]
    cluster.worker(env=cluster.crash_at(point))

    cluster.wait_all_final()

    assert {cluster.job(job)["status"] for job in jobs} == {"completed"}


@pytest.mark.parametrize("point", ["taken-ahead", "after-fence", "after-commit"])
def test_a_child_killed_between_jobs_that_write_leaves_one_effect_of_each(
    cluster: Cluster, point: str
) -> None:
    """The effect and end of one job and the claim of the next share a commit."""
    cluster.daemon()
    jobs = [cluster.dispatch("EffectJob") for _ in range(12)]
    cluster.worker(env=cluster.crash_at(point))

    cluster.wait_all_final()

    assert {cluster.job(job)["status"] for job in jobs} == {"completed"}
    assert {cluster.effects(job) for job in jobs} == {1}


def test_a_job_whose_child_was_killed_is_started_again(cluster: Cluster) -> None:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    worker = cluster.worker()
    job = cluster.dispatch("HeldEffectJob", with_={"reached": str(reached), "go": str(go)})
    cluster.wait_for_file(reached)
    os.kill(worker.children()[0], signal.SIGKILL)

    row = cluster.wait_for_status(job, "completed")

    assert row["attempt"] == 2
    assert "SIGKILL" in cluster.attempts(job)[0]["error"]


def test_a_dependant_is_started_although_its_upstreams_child_died_after_the_commit(
    cluster: Cluster,
) -> None:
    cluster.daemon()
    upstream = cluster.dispatch("EffectJob")
    below = cluster.dispatch("EffectJob", depends_on=[upstream])
    cluster.worker(env=cluster.crash_at("after-commit"))

    # Daemon and worker have to come up first, and then the sweep's own pause passes.
    cluster.wait_for_status(below, "completed", limit_s=60)

    assert cluster.job(upstream)["attempt"] == 1
