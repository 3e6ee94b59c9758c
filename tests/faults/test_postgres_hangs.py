"""PostgreSQL stopped in the middle of everything: there, connected, and silent."""

import os
import signal
import time
from pathlib import Path

from headrace.queue.process import birth_ticks
from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.silence import silent_postgres

# A grace of two seconds (see `cluster_on`), a timeout of one, and much for a slow machine.
GONE_WITHIN_S = 10.0


def processes_of(cluster: Cluster, file: Path) -> list[int]:
    """A `StubbornJob`'s own process and the one that it has started."""
    cluster.wait_for_file(file)
    wait_until(lambda: len(file.read_text().split()) == 2)
    return [int(pid) for pid in file.read_text().split()]


def gone(pids: list[int]) -> bool:
    return all(birth_ticks(pid) is None for pid in pids)


def test_jobs_are_killed_at_their_deadline_while_postgres_is_silent(
    own_cluster: Cluster, own_home: Path
) -> None:
    own_cluster.daemon()
    worker = own_cluster.worker(2)
    files = [own_cluster.folder / f"pids-{number}" for number in range(2)]
    jobs = [
        own_cluster.dispatch("StubbornJob", with_={"pid_file": str(file)}, timeout=timeout, retry=0)
        for file, timeout in zip(files, (2, 4), strict=True)
    ]
    pids = [pid for file in files for pid in processes_of(own_cluster, file)]
    with silent_postgres(own_home):
        wait_until(lambda: gone(pids), limit_s=4 + GONE_WITHIN_S, what="the end of the jobs")
        assert worker.popen.poll() is None

    for job in jobs:
        row = own_cluster.wait_for_status(job, "failed", limit_s=30)
        assert "timed out" in row["error"]
    after = own_cluster.dispatch("EffectJob")
    own_cluster.wait_for_status(after, "completed", limit_s=20)
    own_cluster.wait_all_final()


def test_a_child_that_dies_while_postgres_is_silent_is_noticed_with_all_it_started(
    own_cluster: Cluster, own_home: Path
) -> None:
    own_cluster.daemon()
    worker = own_cluster.worker()
    file = own_cluster.folder / "pids"
    job = own_cluster.dispatch("StubbornJob", with_={"pid_file": str(file)}, timeout=60)
    pids = processes_of(own_cluster, file)
    with silent_postgres(own_home):
        # By now the worker's parent waits for it: its heart beats once a second.
        time.sleep(2)
        os.kill(pids[0], signal.SIGKILL)
        # Not even its remains are there: its parent has taken note.
        wait_until(lambda: gone(pids) and pids[0] not in worker.children(), what="the child's end")

    wait_until(lambda: own_cluster.attempts(job), limit_s=30, what="the record of the lost attempt")
    own_cluster.headrace.interventions.cancel_job(job)
    own_cluster.wait_all_final()


def test_a_worker_stops_when_asked_though_postgres_is_silent(
    own_cluster: Cluster, own_home: Path
) -> None:
    own_cluster.daemon()
    worker = own_cluster.worker()
    file = own_cluster.folder / "pids"
    job = own_cluster.dispatch("StubbornJob", with_={"pid_file": str(file)}, timeout=60)
    pids = processes_of(own_cluster, file)
    with silent_postgres(own_home):
        worker.signal(signal.SIGTERM)
        wait_until(lambda: worker.popen.poll() is not None, limit_s=25, what="the worker's end")
        assert gone(pids)

    wait_until(
        lambda: own_cluster.job(job)["status"] == "queued", limit_s=30, what="the job given back"
    )
    own_cluster.headrace.interventions.cancel_job(job)
    own_cluster.wait_all_final()
