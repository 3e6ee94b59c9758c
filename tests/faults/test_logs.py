"""What a job says is kept, whatever ends it: I17."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.spoken import gaps, spoken_numbers


def lines(cluster: Cluster, job: str) -> list[dict[str, Any]]:
    return cluster.sql(
        "SELECT * FROM headrace.job_log WHERE job_id = %s ORDER BY attempt, line", job
    )


def journal_of(cluster: Cluster) -> Path:
    return cluster.folder / "journal"


def speak(cluster: Cluster, name: str = "OverdueJob", **options: Any) -> str:
    reached, journal = cluster.folder / "reached", journal_of(cluster)
    journal.mkdir(exist_ok=True)
    values = {"reached": str(reached), "journal": str(journal)}
    job = cluster.dispatch(name, with_=values, **options)
    cluster.wait_for_file(reached)
    return job


def wait_while_it_speaks(cluster: Cluster, job: str, seconds: float) -> None:
    """Wait until the job's first attempt has noted lines in its journal for so long from now."""
    file = journal_of(cluster) / f"{job}_1"

    def latest() -> float:
        whole = file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []
        return float(whole[-1].split()[1]) if whole else 0.0

    began = wait_until(latest, what="the first line")
    wait_until(lambda: latest() >= began + seconds, limit_s=10, what="more lines")


def test_a_line_can_be_read_within_two_seconds_while_its_job_runs(cluster: Cluster) -> None:
    cluster.worker()
    job = speak(cluster, timeout=30)

    cluster.wait_for_status(job, "started")
    wait_until(lambda: spoken_numbers(cluster, job, 1), limit_s=2.0, what="the first line")
    first = len(spoken_numbers(cluster, job, 1))
    wait_until(lambda: len(spoken_numbers(cluster, job, 1)) > first, limit_s=2.0)

    assert cluster.job(job)["status"] == "started"
    cluster.headrace.interventions.cancel_job(job)


def test_a_job_that_times_out_keeps_its_lines(cluster: Cluster) -> None:
    cluster.worker()
    job = speak(cluster, timeout=3, retry=0)

    cluster.wait_for_status(job, "failed")

    assert len(spoken_numbers(cluster, job, 1)) >= 5
    assert gaps(cluster, journal_of(cluster)) == []


def test_a_job_that_is_cancelled_keeps_its_lines(cluster: Cluster) -> None:
    cluster.daemon()
    cluster.worker()
    job = speak(cluster)
    wait_while_it_speaks(cluster, job, 1.0)
    cluster.headrace.interventions.cancel_job(job)
    said_until = time.time()

    def kept() -> bool:
        said = [line["at"].timestamp() for line in lines(cluster, job)]
        return bool(said) and max(said) > said_until - 0.4

    wait_until(kept, limit_s=20, what="the lines up to the cancellation")


@pytest.mark.parametrize("who", ["child", "worker"])
def test_a_job_whose_process_is_killed_keeps_its_lines(cluster: Cluster, who: str) -> None:
    worker = cluster.worker()
    job = speak(cluster)
    # Longer than what may be lost.
    wait_while_it_speaks(cluster, job, 2.2)
    killed_at = time.time()
    os.kill(worker.pid if who == "worker" else worker.children()[0], signal.SIGKILL)
    cluster.daemon()
    cluster.worker()
    cluster.wait_for_status(job, "completed", limit_s=40)

    said = [line["at"].timestamp() for line in lines(cluster, job) if line["attempt"] == 1]

    assert gaps(cluster, journal_of(cluster)) == []
    # Of a child that has died all is kept; with the worker's parent the last two seconds may go.
    assert max(said) > killed_at - (2.0 if who == "worker" else 0.3)


def test_what_was_said_while_postgresql_was_away_is_written_when_it_is_back(
    own_cluster: Cluster, own_home: Path
) -> None:
    worker = own_cluster.worker()
    job = speak(own_cluster)
    pid = int((own_home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGSTOP)
    wait_while_it_speaks(own_cluster, job, 1.0)
    (child,) = worker.children()
    os.kill(child, signal.SIGKILL)
    killed_at = time.time()
    wait_until(lambda: child not in worker.children(), what="the worker's look at its child")
    os.kill(pid, signal.SIGCONT)

    def kept() -> bool:
        said = [line["at"].timestamp() for line in lines(own_cluster, job) if line["attempt"] == 1]
        return bool(said) and max(said) > killed_at - 0.4

    wait_until(kept, limit_s=30, what="the lines of the outage")
    own_cluster.daemon()
    own_cluster.wait_for_status(job, "completed", limit_s=40)


def test_a_job_that_says_much_keeps_its_first_and_last_lines(cluster: Cluster) -> None:
    cluster.worker()
    job = cluster.headrace.dispatcher.dispatch(
        "tests.support.jobs_state.TalkingJob", {"lines": 4_000}
    )

    cluster.wait_for_status(job, "completed", limit_s=40)

    said = [line["message"] for line in lines(cluster, job)]
    assert said[:200] == [f"line {number}" for number in range(1, 201)]
    assert said[201:] == [f"line {number}" for number in range(3_201, 4_001)]
    assert said[200] == "3000 lines were left out here"
