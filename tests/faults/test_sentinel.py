"""Redis behind Sentinel: the master dies or is changed under jobs that flow; none is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import QueueUnavailable
from headrace.queue.connect import connect, reported
from headrace.store.embedded import Servers
from tests.support.cluster import Cluster, cluster_on, effect_job
from tests.support.processes import wait_until
from tests.support.sentinels import PASSWORD, SERVICE, Sentinels, certificate, sentinels


@pytest.fixture
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sentinels]:
    tls = certificate(tmp_path) if getattr(request, "param", None) == "tls" else None
    with sentinels(tmp_path, tls) as made:
        yield made


@pytest.fixture
def cluster(database: str, watched: Sentinels, tmp_path: Path) -> Iterator[Cluster]:
    with cluster_on(Servers(database, watched.url), tmp_path, env={"HEADRACE_LEASE_S": "4"}) as one:
        yield one
        one.check()


def dispatch(cluster: Cluster, count: int) -> None:
    payloads = [{"hold_s": 0.002}] * count
    cluster.headrace.dispatcher.dispatch_many(effect_job("EffectJob"), payloads)


def completed(cluster: Cluster) -> int:
    sql = "SELECT count(*) AS n FROM headrace.job WHERE status = 'completed'"
    return int(cluster.sql(sql)[0]["n"])


@pytest.mark.timeout(240)
def test_jobs_flow_on_through_the_death_and_the_change_of_the_redis_that_leads(
    cluster: Cluster, watched: Sentinels
) -> None:
    cluster.daemon()
    workers = [cluster.worker(), cluster.worker()]
    dispatch(cluster, 400)
    wait_until(lambda: completed(cluster) >= 50, limit_s=45)

    first = watched.master()
    first.process.kill()
    # While nobody leads: the rows are committed, the messages follow.
    dispatch(cluster, 200)
    wait_until(lambda: watched.master() is not first, limit_s=30, what="the fail-over")
    dispatch(cluster, 200)
    wait_until(lambda: completed(cluster) == 800, limit_s=60, what="every job's completion")
    # With nothing to do, too, they are where messages come.
    dispatch(cluster, 1)
    wait_until(lambda: completed(cluster) == 801, limit_s=20, what="one more job's completion")

    counted = cluster.sql(
        "SELECT count(*) AS effects, count(DISTINCT job_id) AS jobs FROM public.effect"
    )
    assert counted == [{"effects": 801, "jobs": 801}]
    for worker in workers:
        assert worker.popen.poll() is None
        assert "Traceback" not in worker.text()
        assert PASSWORD not in worker.text()
    with watched.line(watched.master().port, password=PASSWORD) as line:
        assert line.scard(f"{cluster.keys.prefix}:workers") == 2
    assert SERVICE in watched.url


@pytest.mark.parametrize("watched", ["tls"], indirect=True)
def test_sentinels_and_redis_with_tls_serve_through_a_fail_over_and_are_checked(
    cluster: Cluster, watched: Sentinels
) -> None:
    assert watched.tls is not None
    for url, told in (
        (watched.url.partition("?")[0], "CERTIFICATE_VERIFY_FAILED"),  # by the system's own CAs
        (watched.url.replace("rediss", "redis", 1).partition("?")[0], "no Redis leads"),
    ):
        with connect(url) as line, pytest.raises(QueueUnavailable) as refused, reported():
            line.ping()
        assert refused.value.reason == "no-master"
        assert told in str(refused.value)

    cluster.daemon()
    worker = cluster.worker()
    dispatch(cluster, 20)
    wait_until(lambda: completed(cluster) == 20, limit_s=30)
    first = watched.master()
    first.process.kill()
    wait_until(lambda: watched.master() is not first, limit_s=30, what="the fail-over")
    dispatch(cluster, 20)
    wait_until(lambda: completed(cluster) == 40, limit_s=45, what="every job's completion")

    assert "Traceback" not in worker.text()
