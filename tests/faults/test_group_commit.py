"""The worker's parent records what has ended while the child's next job takes long."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import wait_until

# So many that a child has learnt that they are short, and a few batches more.
MANY = 60


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs be short that are so on an idle machine."""
    monkeypatch.setenv("TEST_SHORT_S", "1")


def dispatched(cluster: Cluster, name: str, count: int = MANY, **with_: Any) -> list[str]:
    return [
        cluster.headrace.dispatcher.dispatch(f"tests.support.jobs_group_commit.{name}", payload)
        for payload in ({**with_, "n": n} for n in range(count))
    ]


def held(cluster: Cluster, name: str, **with_: Any) -> str:
    """Dispatch the job that takes long, until the file `go` is there."""
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    payload = {"reached": str(reached), "go": str(go), "n": MANY, **with_}
    job_class = f"tests.support.jobs_group_commit.{name}"
    return cluster.headrace.dispatcher.dispatch(job_class, payload)


def wait_for_all(cluster: Cluster, jobs: list[str], status: str) -> None:
    wait_until(
        lambda: {cluster.job(job)["status"] for job in jobs} == {status},
        what=f"all of {len(jobs)} jobs {status}",
    )


def let_go(cluster: Cluster) -> None:
    (cluster.folder / "go").touch()
    cluster.wait_all_final()


def test_nothing_but_the_jobs_own_code_runs_in_the_middle_of_handle(cluster: Cluster) -> None:
    before = dispatched(cluster, "WatchfulJob")
    watching = held(cluster, "WatchfulJob")
    after = dispatched(cluster, "WatchfulJob", 10)
    cluster.worker()
    cluster.wait_for_file(cluster.folder / "reached")

    # Recorded and requeued, while it watches.
    wait_for_all(cluster, before, "completed")
    wait_for_all(cluster, after, "queued")
    let_go(cluster)

    assert cluster.job(watching)["result"] == {"foreign": [], "handler": "", "timer": 0.0}


def test_a_job_that_keeps_the_interpreter_to_itself_holds_up_no_other(cluster: Cluster) -> None:
    fifo = cluster.folder / "fifo"
    os.mkfifo(fifo)
    name = "tests.support.jobs_group_commit.InterpreterHoldingJob"
    before = [cluster.headrace.dispatcher.dispatch(name, {}) for _ in range(MANY)]
    reached = cluster.folder / "reached"
    holding = cluster.headrace.dispatcher.dispatch(
        name, {"fifo": str(fifo), "reached": str(reached)}
    )
    after = [cluster.headrace.dispatcher.dispatch(name, {}) for _ in range(10)]
    cluster.worker()
    cluster.wait_for_file(reached)

    wait_for_all(cluster, before, "completed")
    wait_for_all(cluster, after, "queued")
    assert cluster.job(holding)["status"] == "started"

    writer = os.open(fifo, os.O_RDWR)
    os.write(writer, b"x")
    cluster.wait_all_final()
    os.close(writer)
    assert cluster.unsuccessful(holding) == []


def test_a_job_may_have_an_alarm_of_its_own(cluster: Cluster) -> None:
    before = dispatched(cluster, "AlarmJob")
    with_alarm = held(cluster, "AlarmJob")
    cluster.worker()
    cluster.wait_for_file(cluster.folder / "reached")

    wait_for_all(cluster, before, "completed")
    let_go(cluster)

    assert cluster.job(with_alarm)["result"] == 1
    assert cluster.unsuccessful(with_alarm) == []


def test_a_job_that_opens_a_session_after_its_parent_has_the_others_leaves_one_effect(
    cluster: Cluster,
) -> None:
    before = dispatched(cluster, "CountedJob", journal=str(cluster.folder))
    with_effect = held(cluster, "CountedJob", journal=str(cluster.folder), tag="x")
    after = dispatched(cluster, "WatchfulJob", 10)
    cluster.worker()
    cluster.wait_for_file(cluster.folder / "reached")
    wait_for_all(cluster, before, "completed")

    let_go(cluster)

    assert cluster.effects(with_effect) == 1
    assert cluster.unsuccessful(with_effect) == []
    assert {cluster.job(job)["status"] for job in after} == {"completed"}
    assert runs(cluster) == [1] * (MANY + 1)


def runs(cluster: Cluster) -> list[int]:
    """How often each of the counted jobs has run."""
    found = [cluster.folder / str(n) for n in range(MANY + 1)]
    return [len(path.read_text()) if path.exists() else 0 for path in found]


@pytest.mark.parametrize("point", ["in-batch", "published", "withdrawn", "taken-ahead"])
def test_a_job_that_has_ended_is_not_run_again_although_its_child_is_killed(
    cluster: Cluster, point: str
) -> None:
    jobs = dispatched(cluster, "CountedJob", journal=str(cluster.folder))
    cluster.worker(env=cluster.crash_at(point))

    # Without a daemon: it is the worker's parent that records what its child had ended.
    cluster.wait_all_final()

    assert [cluster.job(job)["result"] for job in jobs] == list(range(MANY))
    # Only the one that ran, or had ended a moment before, was nowhere else.
    assert sum(runs(cluster)) <= MANY + 1
    outcomes = [one["outcome"] for job in jobs for one in cluster.attempts(job)]
    assert outcomes.count("crashed") <= 1


@pytest.mark.parametrize("signalled", [signal.SIGKILL, signal.SIGTERM], ids=["child", "worker"])
def test_what_had_ended_is_recorded_when_the_one_that_takes_long_is_stopped(
    cluster: Cluster, signalled: signal.Signals
) -> None:
    dispatched(cluster, "CountedJob", journal=str(cluster.folder))
    long = held(cluster, "CountedJob", journal=str(cluster.folder))
    worker = cluster.worker()
    cluster.wait_for_file(cluster.folder / "reached")
    if signalled == signal.SIGKILL:
        os.kill(worker.children()[0], signalled)
    else:
        worker.signal(signalled)
        worker.signal(signalled)
        worker.popen.wait()
        cluster.worker()

    let_go(cluster)

    assert runs(cluster) == [*[1] * MANY, 2]
    assert cluster.job(long)["attempt"] == 2


@pytest.mark.parametrize(
    "point", ["batch-collected", "batch-completed-by-parent", "batch-requeued-by-parent"]
)
def test_a_parent_killed_while_it_records_loses_and_doubles_nothing(
    cluster: Cluster, point: str
) -> None:
    folder = str(cluster.folder)
    before = dispatched(cluster, "CountedJob", journal=folder)
    below = cluster.dispatch("EffectJob", depends_on=before)
    long = held(cluster, "CountedJob", journal=folder, tag="x")
    # Of the same class: some of them are claimed behind the long one, wherever a batch ends.
    after = dispatched(cluster, "CountedJob", 10, journal=folder)
    first = cluster.worker(env=cluster.crash_at(point))
    first.popen.wait()
    cluster.daemon()
    cluster.worker()

    (Path(folder) / "go").touch()
    cluster.wait_all_final(limit_s=30)

    assert [cluster.job(job)["result"] for job in before] == list(range(MANY))
    assert [cluster.job(job)["result"] for job in after] == list(range(10))
    assert [cluster.effects(job) for job in (below, long)] == [1, 1]


def test_results_of_any_size_are_all_kept(cluster: Cluster) -> None:
    name = "tests.support.jobs_group_commit.ResultJob"
    sizes = [*[1] * 20, *[10_000] * 30, 200_000, *[1] * 20]
    jobs = [cluster.headrace.dispatcher.dispatch(name, {"size": size}) for size in sizes]
    cluster.worker()

    cluster.wait_all_final()

    assert [len(cluster.job(job)["result"]) for job in jobs] == sizes
    assert cluster.unsuccessful(*jobs) == []


def test_a_paused_child_holds_up_no_other(cluster: Cluster) -> None:
    jobs = dispatched(cluster, "CountedJob", journal=str(cluster.folder))
    worker = cluster.worker(env=cluster.crash_at("published", stop=True))
    cluster.wait_for_crash()

    # All but the job that was about to run when it stopped.
    cluster.worker()
    wait_until(
        lambda: (
            sorted(cluster.job(job)["status"] for job in jobs)
            == [*["completed"] * (MANY - 1), "started"]
        ),
        what="all jobs but one completed",
    )

    os.kill(worker.children()[0], signal.SIGCONT)
    cluster.wait_all_final()
    assert runs(cluster) == [*[1] * MANY, 0]
