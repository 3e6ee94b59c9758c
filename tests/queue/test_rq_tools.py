"""RQ's own programs on our Redis: they work, and reading changes nothing."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import ROOT, Cluster
from tests.support.processes import wait_until

RQ = Path(sys.executable).parent / "rq"
RQ_SCRIPT = [str(RQ)] if RQ.exists() else [sys.executable, "-c", "from rq.cli import main; main()"]


def command(cluster: Cluster, name: str, *arguments: str) -> dict[str, Any]:
    """Return what `subprocess` is to start as one of RQ's programs."""
    return {
        "args": [*RQ_SCRIPT, name, "--url", cluster.servers.redis_url, *arguments],
        "cwd": ROOT,
        "env": {**cluster.environ, "RQ_KEY_PREFIX": cluster.keys.prefix},
        "text": True,
    }


def rq(cluster: Cluster, *arguments: str, timeout: float = 120) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        **command(cluster, *arguments), capture_output=True, timeout=timeout, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def memory(cluster: Cluster) -> dict[bytes, Any]:
    """All that Redis holds, but for what a heartbeat writes."""
    return {
        key: cluster.redis.dump(key) for key in cluster.redis.scan_iter() if b":worker:" not in key
    }


def test_a_stock_worker_runs_our_jobs(cluster: Cluster) -> None:
    jobs = [cluster.dispatch("EffectJob", queue=queue) for queue in ("low", "high")]
    below = cluster.dispatch("EffectJob", depends_on=jobs)
    failing = cluster.dispatch("PoisonJob", retry=0)
    cluster.daemon()

    log = cluster.folder / "rq.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            **command(cluster, "worker", "high", "medium", "low"), stdout=out, stderr=out
        ) as worker,
    ):
        cluster.wait_all_final(limit_s=60)
        worker.terminate()

    assert {cluster.job(job)["status"] for job in (*jobs, below)} == {"completed"}
    assert cluster.job(failing)["status"] == "failed"
    # A worker of RQ's own writes a traceback for a job that fails, not for itself.
    assert worker.returncode == 0, log.read_text()


def test_a_stock_worker_records_a_failure_and_keeps_to_the_timeout(cluster: Cluster) -> None:
    failing = cluster.dispatch("FailOnceEffectJob", retry=0)
    endless = cluster.dispatch("EndlessJob", timeout=1, retry=0)

    rq(cluster, "worker", "--burst", "medium")

    assert cluster.job(failing)["error"] == "RuntimeError: not yet"
    row = cluster.job(endless)
    assert row["status"] == "failed"
    assert "timed out" in row["error"]


def test_rq_info_shows_queues_and_workers_and_changes_nothing(cluster: Cluster) -> None:
    worker = cluster.worker(2)
    name = cluster.wait_for_worker(worker)
    wait_until(lambda: cluster.redis.smembers(f"{cluster.keys.prefix}:workers"))
    go, reached = cluster.folder / "go", cluster.folder / "reached"
    for n in range(2):
        cluster.dispatch("HeldJob", with_={"reached": f"{reached}{n}", "go": str(go)})
        cluster.wait_for_file(cluster.folder / f"reached{n}")
    waiting = [cluster.dispatch("NoopJob", queue="high") for _ in range(7)]
    before, jobs = memory(cluster), cluster.sql("SELECT * FROM headrace.job ORDER BY id")

    said = rq(cluster, "info")

    assert memory(cluster) == before
    assert cluster.sql("SELECT * FROM headrace.job ORDER BY id") == jobs
    assert name in said
    assert "high" in said
    assert "7" in next(line for line in said.splitlines() if line.startswith("high"))
    go.touch()
    cluster.wait_all_final()
    assert {cluster.job(job)["status"] for job in waiting} == {"completed"}


def test_a_suspended_worker_takes_nothing_until_it_is_resumed(cluster: Cluster) -> None:
    worker = cluster.worker()
    cluster.wait_for_worker(worker)
    rq(cluster, "suspend")

    def held() -> str | None:
        job = cluster.dispatch("NoopJob")
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            if cluster.job(job)["status"] != "queued":
                return None
            time.sleep(0.05)
        return job

    job = wait_until(held, limit_s=12, what="the suspension")
    rq(cluster, "resume")

    cluster.wait_for_status(job, "completed")


STOP = """
import sys, redis
from rq.command import send_stop_job_command
from rq.job import Job
url, message_id, worker = sys.argv[1:]
line = redis.from_url(url)
message = Job.fetch(message_id, connection=line)
message.worker_name = worker
message.save()
send_stop_job_command(line, message_id)
"""


def test_a_stop_command_cancels_the_job_it_names(cluster: Cluster) -> None:
    go, reached = cluster.folder / "go", cluster.folder / "reached"
    worker = cluster.worker()
    name = cluster.wait_for_worker(worker)
    job = cluster.dispatch("HeldJob", with_={"reached": str(reached), "go": str(go)})
    cluster.wait_for_file(reached)
    wait_until(lambda: cluster.redis.smembers(f"{cluster.keys.prefix}:workers"))

    done = subprocess.run(
        [sys.executable, "-c", STOP, cluster.servers.redis_url, f"{job}_0", name],
        env={**cluster.environ, "RQ_KEY_PREFIX": cluster.keys.prefix},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"RQ refuses: {done.stderr}")  # It only knows running messages as its own.

    cluster.wait_for_status(job, "cancelled")
    cluster.wait_for_status(cluster.dispatch("EffectJob"), "completed")
