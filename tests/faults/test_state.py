"""Nothing of one job's process reaches the next one: I20. And how a job that has to end may."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.jobs_state import CHANGES
from tests.support.processes import wait_until

# Where what a job leaves cannot be put back, or not by whoever is not root.
_REPLACED = {"thread", "program", "file"}


def dispatch(cluster: Cluster, name: str, **options: Any) -> str:
    payload = options.pop("with_", {})
    dispatcher = cluster.headrace.dispatcher
    return dispatcher.dispatch(f"tests.support.jobs_state.{name}", payload, **options)


def finished(cluster: Cluster, job: str, *statuses: str) -> dict[str, Any]:
    return cluster.wait_for_status(job, *(statuses or ("completed",)), limit_s=30)


def test_what_a_job_changes_in_its_process_is_not_there_for_the_next_one(cluster: Cluster) -> None:
    cluster.worker()
    clean = finished(cluster, dispatch(cluster, "StateJob"))["result"]
    pid = finished(cluster, dispatch(cluster, "ChangingJob", with_={"changes": []}))["result"]
    put_back = [name for name in CHANGES if name not in _REPLACED]

    changing = dispatch(cluster, "ChangingJob", with_={"changes": put_back})
    after = dispatch(cluster, "StateJob")

    assert finished(cluster, changing)["result"] == pid
    assert finished(cluster, after)["result"] == clean
    said = cluster.sql("SELECT message FROM headrace.job_log WHERE job_id = %s", after)
    assert {"logged", "printed"} <= {row["message"] for row in said}


def test_each_change_is_put_back_by_itself(cluster: Cluster) -> None:
    cluster.worker()
    clean = finished(cluster, dispatch(cluster, "StateJob"))["result"]
    names = [name for name in CHANGES if name not in _REPLACED]

    changing = [dispatch(cluster, "ChangingJob", with_={"changes": []})]
    found = {}
    for name in names:
        changing.append(dispatch(cluster, "ChangingJob", with_={"changes": [name]}))
        found[name] = dispatch(cluster, "StateJob")

    assert len({finished(cluster, job)["result"] for job in changing}) == 1, "one process"
    left = {name: finished(cluster, job)["result"] for name, job in found.items()}
    assert {name: state for name, state in left.items() if state != clean} == {}


@pytest.mark.parametrize("left", sorted(_REPLACED))
def test_a_process_in_which_something_stays_runs_no_other_job(cluster: Cluster, left: str) -> None:
    cluster.worker()
    clean = finished(cluster, dispatch(cluster, "StateJob"))["result"]

    changing = dispatch(cluster, "ChangingJob", with_={"changes": [left]})
    after = dispatch(cluster, "StateJob")

    assert finished(cluster, after)["result"] == clean
    pid = finished(cluster, changing)["result"]
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the end of that process")


def test_a_job_that_forks_and_returns_twice_completes_once(cluster: Cluster) -> None:
    worker = cluster.worker()
    jobs = [dispatch(cluster, "ForkingJob", with_={"effect": effect}) for effect in (True, False)]
    after = dispatch(cluster, "StateJob")

    for job in jobs:
        assert finished(cluster, job)["result"] > 0
        assert cluster.unsuccessful(job) == []
    assert cluster.effects(jobs[0]) == 1
    finished(cluster, after)
    assert cluster.unsuccessful(after) == []
    assert len(worker.children()) == 1


def test_a_worker_that_stops_takes_no_job_after_one_that_ignores_sigterm(cluster: Cluster) -> None:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    worker = cluster.worker(env={"HEADRACE_GRACE": "20"})
    job = dispatch(cluster, "SignalJob", with_={"reached": str(reached), "go": str(go)})
    cluster.wait_for_file(reached)
    worker.signal(signal.SIGTERM)
    waiting = [cluster.dispatch("EffectJob") for _ in range(3)]
    time.sleep(0.3)
    go.touch()

    finished(cluster, job)
    worker.wait(15)

    assert [cluster.job(one)["status"] for one in waiting] == ["queued"] * 3
    cluster.worker()
    for one in waiting:
        finished(cluster, one)


@pytest.mark.parametrize("sql", ["", "SELECT pg_sleep(60)"])
def test_a_job_that_times_out_tidies_up(cluster: Cluster, sql: str) -> None:
    reached, tidied = cluster.folder / "reached", cluster.folder / "tidied"
    cluster.worker()
    values = {"reached": str(reached), "tidied": str(tidied), "statement": sql}
    job = dispatch(cluster, "TidyJob", with_=values, timeout=1, retry=0)

    row = finished(cluster, job, "failed")

    assert tidied.exists()
    assert row["error"].startswith("timed out")
    assert "jobs_state.py" in row["traceback"]


def test_a_job_that_does_not_end_is_killed_after_kill_after(cluster: Cluster) -> None:
    reached, tidied = cluster.folder / "reached", cluster.folder / "tidied"
    cluster.worker(env={"HEADRACE_KILL_AFTER": "1"})
    values = {"reached": str(reached), "tidied": str(tidied), "deaf": True}
    job = dispatch(cluster, "TidyJob", with_=values, timeout=1, retry=0)

    row = finished(cluster, job, "failed")

    assert row["error"].startswith("timed out")
    assert not tidied.exists()


def test_a_job_that_is_cancelled_or_given_back_tidies_up(cluster: Cluster) -> None:
    cluster.daemon()
    for way in ("cancel", "drain"):
        reached, tidied = cluster.folder / f"{way}-reached", cluster.folder / f"{way}-tidied"
        worker = cluster.worker(env={"HEADRACE_GRACE": "0"})
        values = {"reached": str(reached), "tidied": str(tidied)}
        job = dispatch(cluster, "TidyJob", with_=values)
        cluster.wait_for_file(reached, limit_s=30)
        if way == "drain":
            worker.signal(signal.SIGTERM)
            worker.wait(20)
            assert finished(cluster, job, "queued")["retry_count"] == 0
        cluster.headrace.interventions.cancel_job(job)

        wait_until(tidied.exists, limit_s=20, what="the tidying")
        finished(cluster, job, "cancelled")
        worker.kill()


def test_a_programs_trap_runs_at_the_timeout(cluster: Cluster) -> None:
    cluster.headrace.settings  # noqa: B018
    mark = cluster.folder / "trapped"
    cluster.worker(env={"HEADRACE_CONFIG": str(_shell_config(cluster))})
    script = f"trap 'echo tidied; touch {mark}; exit 1' TERM; while :; do sleep 0.1; done"
    job = cluster.headrace.dispatcher.dispatch(
        "ShellCommand", {"command": script}, timeout=1, retry=0
    )

    finished(cluster, job, "failed")

    assert mark.exists()
    said = cluster.sql("SELECT message FROM headrace.job_log WHERE job_id = %s", job)
    assert "tidied" in [row["message"] for row in said]


def _shell_config(cluster: Cluster) -> Path:
    config = cluster.folder / "shell.yaml"
    config.write_text("pipelines: pipelines\nshell_commands: true\n")
    return config


def test_errors_keep_their_type_and_what_caused_them(cluster: Cluster) -> None:
    cluster.worker()
    expected = {
        "key": "KeyError: 'missing'",
        "cause": "ValueError: no such region\ncaused by KeyError: 'missing'",
        "exit": "SystemExit: the job called sys.exit(0)",
        "mute": "_Mute: (its text cannot be shown: RuntimeError)",
    }
    jobs = {how: dispatch(cluster, "RaisingJob", with_={"how": how}, retry=0) for how in expected}

    for how, error in expected.items():
        assert finished(cluster, jobs[how], "failed")["error"].startswith(error)


def test_a_log_line_that_cannot_be_put_together_does_not_fail_the_job(cluster: Cluster) -> None:
    cluster.worker()
    job = dispatch(cluster, "RaisingJob", with_={"how": "format"})

    assert finished(cluster, job)["result"] == "done"
    said = cluster.sql("SELECT message FROM headrace.job_log WHERE job_id = %s", job)
    told = [row["message"] for row in said]
    assert any(one.startswith("%d rows ('12',) [TypeError: ") for one in told)


def test_what_a_constructor_does_not_take_is_not_tried_again(cluster: Cluster) -> None:
    cluster.worker()
    job = dispatch(cluster, "PickyJob", with_={"n": "x"})

    row = finished(cluster, job, "failed")

    assert (row["attempt"], row["retry_count"]) == (1, 0)
    assert "TypeError: " in row["error"]


def test_notices_are_in_the_log_as_they_are_said(cluster: Cluster) -> None:
    cluster.worker()
    job = dispatch(cluster, "NoticingJob")

    def said() -> list[tuple[str, str]]:
        rows = cluster.sql(
            "SELECT level, message FROM headrace.job_log WHERE job_id = %s ORDER BY line", job
        )
        return [(row["level"], row["message"]) for row in rows]

    wait_until(said, limit_s=30, what="the notices")
    assert said() == [("info", "NOTICE: noticed"), ("warning", "WARNING: warned")]
    assert cluster.job(job)["status"] == "started"
    assert finished(cluster, job)["result"] == ["NOTICE:  noticed", "WARNING:  warned"]
