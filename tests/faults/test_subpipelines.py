"""Steps that run a pipeline: daemons that die around the start, workers that are few."""

import signal

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import wait_until

EFFECT = "job: tests.support.jobs_effects.EffectJob"
CHILD = f"""
name: child
steps:
  - {{id: one, {EFFECT}, with: {{tag: one}}}}
  - {{id: two, {EFFECT}, with: {{tag: two}}, depends_on: [one]}}
"""
PARENT = f"""
name: parent
steps:
  - {{id: first, {EFFECT}, with: {{tag: first}}}}
  - {{id: each, pipeline: child, depends_on: [first], foreach: {{items: [1, 2, 3]}}}}
  - {{id: last, {EFFECT}, with: {{tag: last}}, depends_on: [each]}}
"""


def declare(cluster: Cluster, name: str, text: str) -> None:
    (cluster.folder / "pipelines" / f"{name}.yaml").write_text(text)


def start(cluster: Cluster, pipeline: str = "parent") -> str:
    return str(cluster.headrace.start_run(pipeline, {})["id"])


def runs(cluster: Cluster, pipeline: str) -> list[str]:
    rows = cluster.sql("SELECT status FROM headrace.run WHERE pipeline = %s", pipeline)
    return [row["status"] for row in rows]


@pytest.mark.parametrize("point", ["child-uncommitted", "child-committed"])
def test_a_daemon_killed_on_either_side_of_the_commit_starts_each_run_once(
    cluster: Cluster, point: str
) -> None:
    declare(cluster, "child", CHILD)
    declare(cluster, "parent", PARENT)
    cluster.worker(2)
    crashed = cluster.daemon(env=cluster.crash_at(point))
    start(cluster)
    assert crashed.wait(20) == -signal.SIGKILL
    cluster.daemon()

    cluster.wait_all_final(limit_s=30)

    assert runs(cluster, "parent") == ["completed"]
    assert runs(cluster, "child") == ["completed"] * 3


def test_two_daemons_one_of_them_paused_start_each_run_once(cluster: Cluster) -> None:
    declare(cluster, "child", CHILD)
    declare(cluster, "parent", PARENT)
    cluster.worker(2)
    paused = cluster.daemon(env=cluster.crash_at("child-uncommitted", stop=True))
    cluster.wait_for_leader()
    cluster.daemon()
    start(cluster)
    cluster.wait_for_crash()

    cluster.wait_all_final(limit_s=30)
    paused.resume()
    term = cluster.sql("SELECT term FROM headrace.leader")[0]["term"]
    wait_until(lambda: "is over" in paused.text() or "does not answer" in paused.text())

    assert term > 1
    assert runs(cluster, "child") == ["completed"] * 3


def test_a_chain_deeper_than_there_are_workers_completes(cluster: Cluster) -> None:
    declare(cluster, "level0", f"name: level0\nsteps: [{{id: one, {EFFECT}, with: {{tag: x}}}}]\n")
    for depth in range(1, 6):
        declare(
            cluster,
            f"level{depth}",
            f"name: level{depth}\nsteps: [{{id: down, pipeline: level{depth - 1}}}]\n",
        )
    cluster.worker(1)
    cluster.daemon()

    start(cluster, "level5")
    cluster.wait_all_final(limit_s=30)

    rows = cluster.sql("SELECT pipeline, status FROM headrace.run ORDER BY pipeline")
    assert [row["status"] for row in rows] == ["completed"] * 6


def test_a_worker_killed_between_the_end_of_a_child_and_what_follows_costs_no_step(
    cluster: Cluster,
) -> None:
    declare(cluster, "child", CHILD)
    declare(cluster, "parent", "name: parent\nsteps: [{id: refresh, pipeline: child}]\n")
    cluster.daemon()
    cluster.worker(env=cluster.crash_at("after-commit"))
    start(cluster)

    cluster.wait_all_final(limit_s=30)

    assert runs(cluster, "parent") == ["completed"]
    assert runs(cluster, "child") == ["completed"]


def test_messages_that_redis_forgot_cost_neither_parent_nor_child(cluster: Cluster) -> None:
    declare(cluster, "child", CHILD)
    declare(cluster, "parent", PARENT)
    cluster.daemon()
    start(cluster)
    wait_until(lambda: len(runs(cluster, "child")) in (0, 3))
    cluster.redis.flushdb()
    cluster.worker(2)

    cluster.wait_all_final(limit_s=30)

    assert runs(cluster, "child") == ["completed"] * 3
