"""Two daemons, one run per instant; a daemon killed on either side of its commit."""

import signal
from datetime import timedelta
from itertools import pairwise

from tests.support.cluster import Cluster
from tests.support.processes import Process, wait_until

PIPELINE = """
name: tick
schedule: {interval: 1s, catchup: all, catchup_window: 1h}
steps:
  - {id: first, job: tests.support.jobs_effects.EffectJob, with: {tag: first}}
  - {id: second, job: tests.support.jobs_effects.EffectJob, depends_on: [first]}
"""


def declare(cluster: Cluster) -> None:
    (cluster.folder / "pipelines" / "tick.yaml").write_text(PIPELINE)


def runs(cluster: Cluster) -> int:
    return int(cluster.sql("SELECT count(*) AS n FROM headrace.run")[0]["n"])


def leader(cluster: Cluster, *daemons: Process) -> Process:
    holder = cluster.sql("SELECT holder FROM headrace.leader")[0]["holder"]
    return next(daemon for daemon in daemons if f".{daemon.pid}." in holder)


def instants_without_gap(cluster: Cluster) -> bool:
    dates = [
        row["logical_date"]
        for row in cluster.sql("SELECT logical_date FROM headrace.run ORDER BY logical_date")
    ]
    return all(b - a == timedelta(seconds=1) for a, b in pairwise(dates))


def test_a_paused_leader_costs_no_instant_and_doubles_none(cluster: Cluster) -> None:
    declare(cluster)
    first, second = cluster.daemon(), cluster.daemon()
    cluster.worker()
    wait_until(lambda: runs(cluster) >= 2)
    paused = leader(cluster, first, second)
    other = second if paused is first else first
    term = cluster.sql("SELECT term FROM headrace.leader")[0]["term"]

    paused.pause()
    wait_until(
        lambda: cluster.sql("SELECT 1 FROM headrace.leader WHERE term > %s", term),
        limit_s=5,
        what="the change of hands",
    )
    before = runs(cluster)
    wait_until(lambda: runs(cluster) >= before + 2)
    paused.resume()
    wait_until(lambda: runs(cluster) >= before + 4)

    assert leader(cluster, first, second) is other
    cluster.withdraw("tick")
    assert instants_without_gap(cluster)


def test_a_standby_leads_after_the_leaders_death(cluster: Cluster) -> None:
    declare(cluster)
    first, second = cluster.daemon(), cluster.daemon()
    cluster.worker()
    wait_until(lambda: runs(cluster) >= 1)
    dead = leader(cluster, first, second)
    term = cluster.sql("SELECT term FROM headrace.leader")[0]["term"]

    dead.kill()

    wait_until(lambda: cluster.sql("SELECT 1 FROM headrace.leader WHERE term > %s", term))
    before = runs(cluster)
    wait_until(lambda: runs(cluster) > before)
    cluster.withdraw("tick")
    assert instants_without_gap(cluster)


def test_a_leader_that_is_stopped_hands_over(cluster: Cluster) -> None:
    first = cluster.daemon()
    cluster.wait_for_leader()
    second = cluster.daemon()
    wait_until(lambda: "has started" in second.text())

    first.signal(signal.SIGTERM)

    wait_until(lambda: leader(cluster, first, second) is second)
    assert first.wait(5) == 0


def test_a_daemon_killed_on_either_side_of_its_commit_costs_no_run(cluster: Cluster) -> None:
    declare(cluster)
    cluster.worker()
    for point in ("dispatch-uncommitted", "dispatch-committed"):
        crashed = cluster.daemon(env=cluster.crash_at(point))
        assert crashed.wait(15) == -signal.SIGKILL
    cluster.daemon()

    before = runs(cluster)
    wait_until(lambda: runs(cluster) > before + 2)
    cluster.withdraw("tick")

    assert instants_without_gap(cluster)
    assert cluster.sql("SELECT DISTINCT status FROM headrace.run") == [{"status": "completed"}]


def test_a_leader_paused_inside_a_transaction_does_not_hold_up_its_successor(
    cluster: Cluster,
) -> None:
    declare(cluster)
    cluster.worker()
    paused = cluster.daemon(env=cluster.crash_at("dispatch-uncommitted", stop=True))
    cluster.wait_for_crash()
    cluster.daemon()

    wait_until(lambda: runs(cluster) >= 2, limit_s=12, what="the successor's runs")
    paused.resume()
    before = runs(cluster)
    wait_until(lambda: runs(cluster) >= before + 2)
    cluster.withdraw("tick")
    assert instants_without_gap(cluster)
