"""Daemons that die or stop while they count what has ended: no end is lost or counted twice."""

import signal

from tests.support.cluster import Cluster
from tests.support.processes import wait_until

JOBS = 6


def counted(cluster: Cluster) -> int:
    rows = cluster.sql("SELECT jobs[1] AS n FROM headrace.pipeline_total WHERE pipeline = ''")
    return int(rows[0]["n"]) if rows else 0


def wait_for_all(cluster: Cluster) -> None:
    cluster.wait_all_final()
    wait_until(lambda: counted(cluster) >= JOBS, limit_s=30, what="the totals")
    assert counted(cluster) == JOBS


def test_a_daemon_killed_while_it_counts_has_counted_nothing(cluster: Cluster) -> None:
    crashed = cluster.daemon(env=cluster.crash_at("totals-uncommitted"))
    cluster.worker()
    for _ in range(JOBS):
        cluster.dispatch("EffectJob")
    assert crashed.popen.wait(timeout=30) == -signal.SIGKILL
    assert counted(cluster) == 0

    cluster.daemon()

    wait_for_all(cluster)


def test_a_daemon_that_is_stopped_while_it_counts_does_not_hold_up_its_successor(
    cluster: Cluster,
) -> None:
    stopped = cluster.daemon(env=cluster.crash_at("totals-uncommitted", stop=True))
    cluster.worker()
    for _ in range(JOBS):
        cluster.dispatch("EffectJob")
    cluster.wait_for_crash()

    cluster.daemon()

    wait_for_all(cluster)
    stopped.resume()
    # The server has rolled back what it was about to write.
    cluster.dispatch("EffectJob")
    wait_until(lambda: counted(cluster) == JOBS + 1, limit_s=30, what="the next end")
