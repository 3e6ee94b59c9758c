"""A process that is paused beyond its lease, and wakes: fenced, wherever it stood."""

import shutil
import subprocess

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.proxy import Proxy


@pytest.mark.parametrize("point", ["claimed", "after-effect", "after-fence"])
def test_a_worker_that_wakes_after_its_lease_changes_nothing(cluster: Cluster, point: str) -> None:
    cluster.daemon()
    paused = cluster.worker(env=cluster.crash_at(point, parent=True, stop=True))
    job = cluster.dispatch("EffectJob")
    cluster.wait_for_crash()
    cluster.worker()

    row = cluster.wait_for_status(job, "completed", limit_s=20)
    paused.resume()
    again = cluster.dispatch("EffectJob")
    cluster.wait_for_status(again, "completed")

    assert row["attempt"] == 2
    after = cluster.job(job)
    assert (after["attempt"], after["finished_at"]) == (2, row["finished_at"])
    # The woken one is a worker again.
    wait_until(
        lambda: not cluster.sql("SELECT 1 FROM headrace.worker WHERE status = 'lost'"),
        limit_s=10,
        what="the return of the paused worker",
    )


def test_a_half_open_connection_costs_the_lease_and_not_the_effect(
    cluster: Cluster, database: str
) -> None:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    cluster.daemon()
    with Proxy(database) as proxy:
        cut_off = cluster.worker(env={"DATABASE_URL": proxy.url})
        job = cluster.dispatch("HeldEffectJob", with_={"reached": str(reached), "go": str(go)})
        cluster.wait_for_file(reached)
        proxy.freeze()
        other = cluster.worker()

        row = cluster.wait_for_status(job, "completed", limit_s=20)
        assert row["attempt"] == 2
        go.touch()
        proxy.thaw()
        other.kill()
        after = cluster.dispatch("EffectJob")
        cluster.wait_for_status(after, "completed", limit_s=20)
        assert cut_off.popen.poll() is None


def faked_clock(offset: str) -> dict[str, str]:
    """The environment in which a program's clock is off by `offset`."""
    program = shutil.which("faketime")
    if program is None:
        pytest.skip("faketime is not installed here")
    env = subprocess.run([program, "-f", offset, "env"], capture_output=True, text=True, check=True)
    found = dict(line.partition("=")[::2] for line in env.stdout.splitlines())
    return {"LD_PRELOAD": found["LD_PRELOAD"], "FAKETIME": found["FAKETIME"]}


@pytest.mark.parametrize("offset", ["-1h", "+1h"])
def test_a_clock_that_is_an_hour_off_changes_nothing(cluster: Cluster, offset: str) -> None:
    cluster.daemon()
    cluster.worker(env=faked_clock(offset))
    ended = [cluster.dispatch("FailOnceEffectJob"), cluster.dispatch("EffectJob")]
    endless = cluster.dispatch("EndlessJob", timeout=1, retry=0)

    for job in ended:
        row = cluster.wait_for_status(job, "completed")
        assert row["created_at"] <= row["started_at"] <= row["finished_at"]
    assert cluster.wait_for_status(endless, "failed")["attempt"] == 1
    assert cluster.job(ended[0])["attempt"] == 2
