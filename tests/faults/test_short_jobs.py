"""Short jobs share commits: no job may suffer for another one of its batch."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.model.plan import Plan, PlannedJob
from headrace.model.retry import RetryPolicy
from headrace.model.status import Trigger
from tests.support.cluster import Cluster, effect_job
from tests.support.processes import wait_until

# So many that a child has learnt that they are short, and a few batches more.
MANY = 60


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs be short that are so on an idle machine."""
    monkeypatch.setenv("TEST_SHORT_S", "1")


def dispatched(cluster: Cluster, count: int) -> list[str]:
    return [cluster.dispatch("ShortJob", with_={"n": n}) for n in range(count)]


def statuses(cluster: Cluster, jobs: list[str]) -> list[str]:
    return [cluster.job(job)["status"] for job in jobs]


def test_all_of_many_short_jobs_are_completed_with_their_results(cluster: Cluster) -> None:
    jobs = dispatched(cluster, MANY)
    cluster.worker()

    cluster.wait_all_final()

    assert [cluster.job(job)["result"] for job in jobs] == list(range(MANY))
    assert cluster.unsuccessful(*jobs) == []


@pytest.mark.parametrize("below", [False, True], ids=["alone", "with-a-dependant"])
@pytest.mark.parametrize("point", ["in-batch", "taken-ahead", "after-commit"])
def test_a_child_killed_in_a_batch_loses_no_job_and_blames_no_other(
    cluster: Cluster, point: str, below: bool
) -> None:
    jobs = dispatched(cluster, MANY)
    if below:
        # Then a batch may be twice as long.
        cluster.dispatch("ShortJob", depends_on=jobs)
    cluster.worker(env=cluster.crash_at(point))

    # Without a daemon: it is the worker's parent that gives back what its child held.
    cluster.wait_all_final()

    assert [cluster.job(job)["result"] for job in jobs] == list(range(MANY))
    outcomes = [one["outcome"] for job in jobs for one in cluster.attempts(job)]
    assert outcomes.count("crashed") <= 1
    assert set(outcomes) <= {"crashed", "released"}


def speaking(cluster: Cluster, count: int) -> list[str]:
    """Dispatch jobs of which all but each fifth say two lines."""
    with_ = ({"n": n, "lines": 2 if n % 5 else 0} for n in range(count))
    return [cluster.dispatch("ShortJob", with_=one) for one in with_]


def lines_of(cluster: Cluster, jobs: list[str]) -> list[list[str]]:
    rows = cluster.sql("SELECT job_id, message FROM headrace.job_log ORDER BY job_id, line")
    said: dict[str, list[str]] = {}
    for row in rows:
        said.setdefault(str(row["job_id"]), []).append(row["message"])
    return [said.get(job, []) for job in jobs]


def expected_lines(count: int) -> list[list[str]]:
    return [[f"{n} says 0", f"{n} says 1"] if n % 5 else [] for n in range(count)]


def test_short_jobs_that_speak_share_commits_and_keep_each_its_own_lines(cluster: Cluster) -> None:
    jobs = speaking(cluster, MANY)
    cluster.worker()

    cluster.wait_all_final()

    assert lines_of(cluster, jobs) == expected_lines(MANY)
    # Rows that one transaction has written.
    (row,) = cluster.sql("SELECT count(DISTINCT xmin::text) AS commits FROM headrace.job")
    assert row["commits"] < MANY / 2


@pytest.mark.parametrize("point", ["in-batch", "taken-ahead", "after-commit"])
def test_a_child_killed_in_a_batch_takes_no_line_of_another_job_with_it(
    cluster: Cluster, point: str
) -> None:
    jobs = speaking(cluster, MANY)
    cluster.worker(env=cluster.crash_at(point))

    cluster.wait_all_final()

    assert [cluster.job(job)["result"] for job in jobs] == list(range(MANY))
    last = cluster.sql(
        "SELECT log.job_id, message FROM headrace.job_log log JOIN headrace.job j"
        " ON j.id = log.job_id AND j.attempt = log.attempt ORDER BY log.job_id, line"
    )
    said = [(str(row["job_id"]), row["message"]) for row in last]
    expected = zip(jobs, expected_lines(MANY), strict=True)
    assert said == sorted((job, line) for job, lines in expected for line in lines)


def test_the_lines_of_a_batch_are_there_although_the_job_at_hand_takes_long(
    cluster: Cluster,
) -> None:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    before = speaking(cluster, MANY)
    cluster.dispatch("ShortJob", with_={"reached": str(reached), "go": str(go)})
    cluster.worker()
    cluster.wait_for_file(reached)

    cluster.wait_for_status(before[-1], "completed")
    assert lines_of(cluster, before) == expected_lines(MANY)

    go.touch()
    cluster.wait_all_final()


def test_a_job_that_takes_long_holds_up_no_other_of_its_batch(cluster: Cluster) -> None:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    before = dispatched(cluster, MANY)
    held = cluster.dispatch("ShortJob", with_={"reached": str(reached), "go": str(go)})
    after = dispatched(cluster, 10)
    cluster.worker()
    cluster.wait_for_file(reached)

    # What has ended is told although the job at hand has not.
    cluster.wait_for_status(before[-1], "completed")
    assert set(statuses(cluster, before)) == {"completed"}
    # What has not begun is there for others.
    cluster.worker()
    wait_until(lambda: set(statuses(cluster, after)) == {"completed"})
    assert cluster.job(held)["status"] == "started"

    go.touch()
    cluster.wait_all_final()
    assert cluster.unsuccessful(held) == []


def test_a_job_of_a_batch_that_opens_a_session_leaves_its_effect_once(cluster: Cluster) -> None:
    jobs = dispatched(cluster, MANY)
    with_effect = [
        cluster.dispatch("ShortJob", with_={"n": n, "tag": "x" if n % 3 == 0 else ""})
        for n in range(30)
    ]
    cluster.worker()

    cluster.wait_all_final()

    assert set(statuses(cluster, jobs + with_effect)) == {"completed"}
    assert [cluster.effects(job) for job in with_effect] == [int(n % 3 == 0) for n in range(30)]


def test_a_batch_does_not_outlive_its_worker(cluster: Cluster) -> None:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    dispatched(cluster, MANY)
    held = cluster.dispatch("ShortJob", with_={"reached": str(reached), "go": str(go)})
    after = dispatched(cluster, 10)
    worker = cluster.worker()
    cluster.wait_for_file(reached)
    os.kill(worker.children()[0], signal.SIGKILL)
    go.touch()

    cluster.wait_all_final()

    assert cluster.job(held)["attempt"] == 2
    assert [one["outcome"] for one in cluster.attempts(held)] == ["crashed"]
    assert {one["outcome"] for job in after for one in cluster.attempts(job)} <= {"released"}


def test_a_stopped_worker_gives_back_what_it_has_not_begun(cluster: Cluster) -> None:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    before = dispatched(cluster, MANY)
    held = cluster.dispatch("ShortJob", with_={"reached": str(reached), "go": str(go)})
    after = dispatched(cluster, 10)
    worker = cluster.worker()
    cluster.wait_for_file(reached)
    worker.signal(signal.SIGTERM)
    # Its children have been asked before it says so.
    wait_until(lambda: cluster.sql("SELECT 1 FROM headrace.worker WHERE status = 'draining'"))
    Path(go).touch()
    worker.popen.wait()

    assert set(statuses(cluster, [*before, held])) == {"completed"}
    assert set(statuses(cluster, after)) == {"queued"}
    cluster.worker()
    cluster.wait_all_final()


def test_jobs_dispatched_below_a_batch_that_has_not_been_closed_are_not_forgotten(
    cluster: Cluster,
) -> None:
    jobs = dispatched(cluster, MANY)
    worker = cluster.worker(env=cluster.crash_at("in-batch", stop=True))
    cluster.wait_for_crash()
    in_hand = [job for job in jobs if cluster.job(job)["status"] == "started"]
    below = [cluster.dispatch("EffectJob", depends_on=[job]) for job in in_hand]

    os.kill(worker.children()[0], signal.SIGCONT)

    cluster.wait_all_final(limit_s=5)
    assert [cluster.effects(job) for job in below] == [1] * len(in_hand)
    assert len(in_hand) > 1


@pytest.mark.parametrize("most", ["16", "1"])
def test_a_run_of_many_short_jobs_is_closed_with_its_last_one(cluster: Cluster, most: str) -> None:
    runs = [started(cluster, MANY) for _ in range(3)]
    cluster.worker(processes=2, env={"HEADRACE_JOBS_PER_COMMIT": most})

    # Without a daemon: nobody else closes what the children leave open.
    wait_until(
        lambda: [run["status"] for run in runs_of(cluster)] == ["completed"] * len(runs),
        limit_s=20,
    )

    assert {str(run["id"]) for run in runs_of(cluster)} == set(runs)


def started(cluster: Cluster, count: int) -> str:
    """Start a run of that many jobs, none of which waits for another."""
    jobs = tuple(
        PlannedJob(f"s{n}", effect_job("ShortJob"), {"n": n}, "medium", RetryPolicy(), 60.0)
        for n in range(count)
    )
    plan = Plan("many", "1", {}, datetime.now(UTC), jobs)
    return str(cluster.headrace.dispatcher.start_run(plan, Trigger.API)["id"])


def runs_of(cluster: Cluster) -> list[dict[str, Any]]:
    return cluster.sql("SELECT id, status FROM headrace.run ORDER BY id")


def test_with_one_job_a_commit_there_is_no_batch(cluster: Cluster) -> None:
    jobs = dispatched(cluster, MANY)
    armed = cluster.crash_at("in-batch")
    cluster.worker(env={**armed, "HEADRACE_JOBS_PER_COMMIT": "1"})

    cluster.wait_all_final()

    assert set(statuses(cluster, jobs)) == {"completed"}
    assert not Path(armed["HEADRACE_CRASH_ONCE"]).exists()
