"""Pipelines that trigger others: one run an upstream run, whoever is killed and when."""

import signal
from functools import partial

from tests.support.cluster import Cluster
from tests.support.processes import Process, wait_until

LOAD = """
name: load
{schedule}
steps:
  - {{id: only, job: tests.support.jobs_effects.EffectJob}}
"""
TOTALS = """
name: totals
trigger: load
steps:
  - {id: only, job: tests.support.jobs_effects.EffectJob}
"""


def declare(cluster: Cluster, schedule: str = "") -> None:
    folder = cluster.folder / "pipelines"
    (folder / "load.yaml").write_text(LOAD.format(schedule=schedule))
    (folder / "totals.yaml").write_text(TOTALS)


def count(cluster: Cluster, pipeline: str) -> int:
    rows = cluster.sql(
        "SELECT count(*) AS n FROM headrace.run WHERE pipeline = %s AND status = 'completed'",
        pipeline,
    )
    return int(rows[0]["n"])


def loaded(cluster: Cluster, runs: int) -> bool:
    return count(cluster, "load") == runs


def know_the_trigger(cluster: Cluster) -> None:
    wait_until(lambda: cluster.sql("SELECT 1 FROM headrace.trigger"), what="the known trigger")


def check_each_once(cluster: Cluster) -> None:
    """Each run of the upstream pipeline has started one run, and no run has come of nothing."""
    wait_until(
        lambda: (
            count(cluster, "load") == count(cluster, "totals")
            and not cluster.sql("SELECT 1 FROM headrace.run WHERE status IN ('queued', 'running')")
        ),
        what="a run for each",
    )
    (pairs,) = cluster.sql(
        "SELECT count(*) AS n, count(DISTINCT run_id) AS started,"
        " count(DISTINCT upstream_run) AS used FROM headrace.triggered WHERE outcome = 'started'"
    )
    assert pairs["n"] == pairs["started"] == pairs["used"] == count(cluster, "load")


def leader(cluster: Cluster, *daemons: Process) -> Process:
    holder = cluster.sql("SELECT holder FROM headrace.leader")[0]["holder"]
    return next(daemon for daemon in daemons if f".{daemon.pid}." in holder)


def test_what_ends_while_no_daemon_is_up_is_followed_afterwards(cluster: Cluster) -> None:
    declare(cluster)
    first = cluster.daemon()
    know_the_trigger(cluster)
    first.signal(signal.SIGTERM)
    assert first.wait(5) == 0
    cluster.worker()
    for _ in range(3):
        cluster.headrace.start_run("load", {})
    wait_until(lambda: count(cluster, "load") == 3, what="the upstream runs' end")

    cluster.daemon()

    wait_until(lambda: count(cluster, "totals") == 3, what="the triggered runs")
    check_each_once(cluster)


def test_two_daemons_of_which_the_leader_is_paused_start_one_run_each(cluster: Cluster) -> None:
    declare(cluster, "schedule: {interval: 1s, catchup: all}")
    first, second = cluster.daemon(), cluster.daemon()
    cluster.worker()
    wait_until(lambda: count(cluster, "totals") >= 2, what="triggered runs")
    paused = leader(cluster, first, second)
    term = cluster.sql("SELECT term FROM headrace.leader")[0]["term"]

    paused.pause()
    wait_until(
        lambda: cluster.sql("SELECT 1 FROM headrace.leader WHERE term > %s", term),
        what="the change of hands",
    )
    before = count(cluster, "totals")
    wait_until(lambda: count(cluster, "totals") >= before + 2)
    paused.resume()
    wait_until(lambda: count(cluster, "totals") >= before + 4)

    declare(cluster)
    cluster.wait_for_no_schedule("load")
    check_each_once(cluster)


def test_a_daemon_killed_on_either_side_of_its_commit_starts_one_run_each(
    cluster: Cluster,
) -> None:
    declare(cluster)
    cluster.worker()
    first = cluster.daemon()
    know_the_trigger(cluster)
    first.kill()
    for started, point in enumerate(("dispatch-uncommitted", "dispatch-committed"), 1):
        cluster.headrace.start_run("load", {})
        wait_until(partial(loaded, cluster, started), what="the upstream run's end")
        crashed = cluster.daemon(env=cluster.crash_at(point))
        assert crashed.wait(15) == -signal.SIGKILL

    cluster.daemon()

    check_each_once(cluster)
    assert count(cluster, "totals") == 2


def test_a_leader_paused_inside_its_transaction_starts_nothing_a_second_time(
    cluster: Cluster,
) -> None:
    declare(cluster)
    cluster.worker()
    cluster.daemon(env=cluster.crash_at("dispatch-uncommitted", stop=True))
    know_the_trigger(cluster)
    cluster.headrace.start_run("load", {})
    cluster.wait_for_crash()
    paused = cluster.started[-1]
    cluster.daemon()

    wait_until(lambda: count(cluster, "totals") == 1, limit_s=15, what="the successor's run")
    paused.resume()
    cluster.headrace.start_run("load", {})

    wait_until(lambda: count(cluster, "totals") == 2)
    check_each_once(cluster)
