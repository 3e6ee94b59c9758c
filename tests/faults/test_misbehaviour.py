"""Jobs that crash, hang, grow or kill: each ends, and the pool lives on."""

import re
from pathlib import Path

import pytest

from headrace.queue.process import birth_ticks
from tests.support.cluster import Cluster
from tests.support.processes import wait_until


def pool_lives(cluster: Cluster) -> None:
    cluster.wait_for_status(cluster.dispatch("EffectJob"), "completed")


def test_a_segfault_fails_the_job_after_its_crash_budget(cluster: Cluster) -> None:
    cluster.worker()
    job = cluster.dispatch("SegfaultJob")

    row = cluster.wait_for_status(job, "failed")

    assert [one["outcome"] for one in cluster.attempts(job)] == ["crashed"] * 3
    assert "SIGSEGV" in row["error"]
    assert row["retry_count"] == 0
    pool_lives(cluster)


def test_a_memory_hog_is_stopped(cluster: Cluster) -> None:
    cluster.worker(env={"TEST_MAX_MEMORY_BYTES": str(150 << 20)})
    job = cluster.dispatch("MemoryHogJob", timeout=30)

    row = cluster.wait_for_status(job, "failed", limit_s=20)

    assert "used more than" in row["error"]
    pool_lives(cluster)


def test_an_endless_loop_is_killed_at_its_deadline_and_each_thread_says_where_it_was(
    cluster: Cluster,
) -> None:
    worker = cluster.worker()
    cluster.wait_for_worker(worker)
    job = cluster.dispatch("EndlessJob", timeout=1, retry=0)

    row = cluster.wait_for_status(job, "failed")

    assert cluster.attempts(job)[0]["outcome"] == "timed_out"
    assert re.search(r"jobs_effects\.py.* in handle", row["traceback"])
    assert re.search(r"jobs_effects\.py.* in _wait_beside", row["traceback"])
    pool_lives(cluster)


def test_a_job_that_swallows_every_exception_dies_with_what_it_started(cluster: Cluster) -> None:
    cluster.worker()
    pid_file = cluster.folder / "pids"
    job = cluster.dispatch("StubbornJob", with_={"pid_file": str(pid_file)}, timeout=1, retry=0)

    cluster.wait_for_status(job, "failed")

    pids = [int(pid) for pid in Path(pid_file).read_text().split()]
    wait_until(lambda: all(birth_ticks(pid) is None for pid in pids), limit_s=2)
    pool_lives(cluster)


def test_a_job_that_kills_its_process_each_time_ends_failed(cluster: Cluster) -> None:
    cluster.worker()
    job = cluster.dispatch("PoisonJob")

    assert cluster.wait_for_status(job, "failed")["attempt"] == 3
    pool_lives(cluster)


def test_a_job_that_kills_its_worker_each_time_ends_failed(cluster: Cluster) -> None:
    cluster.daemon()
    job = cluster.dispatch("PoisonJob", with_={"parent": True})
    for _ in range(3):
        worker = cluster.worker()
        worker.wait(15)

    assert cluster.wait_for_status(job, "failed")["attempt"] == 3
    cluster.worker()
    pool_lives(cluster)


def test_what_json_cannot_hold_is_stored_in_a_defined_way(cluster: Cluster) -> None:
    cluster.worker()
    jobs = [cluster.dispatch("OddResultJob", with_={"effect": effect}) for effect in (True, False)]

    for job, effect in zip(jobs, (True, False), strict=True):
        row = cluster.wait_for_status(job, "completed")
        assert row["result"] == {"n": ["NaN", "-Infinity"], "text": "a\ufffdb\ufffd", "1": 2}
        assert cluster.effects(job) == effect


def test_a_result_that_is_too_large_fails_the_job_before_its_effect_and_for_good(
    cluster: Cluster,
) -> None:
    cluster.worker()
    job = cluster.dispatch("LargeResultJob")
    of_rows = cluster.dispatch("LargeResultJob", with_={"rows": True})

    row = cluster.wait_for_status(job, "failed")
    assert (row["attempt"], cluster.effects(job)) == (1, 0)
    assert "too large to be stored" in row["error"]
    kept = cluster.wait_for_status(of_rows, "completed")["result"]
    assert kept["truncated"] is True
    assert (kept["row_count"], 0 < len(kept["rows"]) < 3000) == (3000, True)
    pool_lives(cluster)


def test_a_job_cannot_complete_after_its_connection_broke_unseen(cluster: Cluster) -> None:
    """It swallows the error and returns: its effect is gone, so it must not be completed."""
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    cluster.worker()
    job = cluster.dispatch("DeafEffectJob", with_={"reached": str(reached), "go": str(go)})
    cluster.wait_for_file(reached)
    cluster.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND state = 'idle in transaction'"
    )
    go.touch()

    row = cluster.wait_for_status(job, "completed")

    assert row["attempt"] == 2
    assert cluster.effects(job) == 1


def test_a_failed_attempt_leaves_no_effect_and_is_tried_again(cluster: Cluster) -> None:
    cluster.daemon()
    cluster.worker()
    job = cluster.dispatch("FailOnceEffectJob", with_={"times": 2})

    row = cluster.wait_for_status(job, "completed")

    assert (row["attempt"], row["retry_count"]) == (3, 2)
    assert [one["outcome"] for one in cluster.attempts(job)] == ["failed", "failed"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE headrace.job SET status = 'completed' WHERE status = 'started'",
        "DELETE FROM headrace.job WHERE created_at < clock_timestamp()",
        "UPDATE headrace.job SET attempt = attempt + 1",
    ],
)
def test_a_job_that_changes_its_own_record_fails_for_good_and_changes_nothing(
    cluster: Cluster, sql: str
) -> None:
    cluster.worker()
    job = cluster.headrace.dispatcher.dispatch("RunSql", {"sql": sql})

    row = cluster.wait_for_status(job, "failed")

    assert row["error"].startswith("it changes what Headrace records of this very job")
    assert [one["outcome"] for one in cluster.attempts(job)] == ["failed"]
    pool_lives(cluster)
