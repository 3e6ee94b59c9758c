"""Workers and the lease: the statements alone."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.rows import Rows
from tests.support.run_rows import RunRows

STATUSES = ("running", "draining", "stopped", "lost")


@pytest.fixture
def made(rows: Rows) -> RunRows:
    return RunRows(rows)


def worker(made: RunRows, name: str, status: str = "running", *, ago: str = "0 s") -> str:
    made.rows.sql(
        "INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes, status,"
        " started_at, seen_at) VALUES (%(name)s, 'h', 1, 1, '{medium}', 1, %(status)s,"
        " clock_timestamp() - %(ago)s::interval, clock_timestamp() - %(ago)s::interval)",
        name=name, status=status, ago=ago,
    )  # fmt: skip
    return name


def workers(made: RunRows) -> dict[str, Any]:
    found = made.rows.sql("SELECT name, status, seen_at FROM headrace.worker")
    return {row["name"]: row for row in found}


def test_a_worker_is_registered_and_seen_by_itself(made: RunRows) -> None:
    worker(made, "other", "stopped", ago="1 h")
    worker(made, "mine", "lost", ago="1 h")
    before = workers(made)["other"]
    given = {"hostname": "h", "pid": 2, "birth_ticks": 2, "queues": ["q"], "processes": 1}

    for name in ("mine", "new"):
        made.rows.database.rows("register_worker", name=name, job_files=None, **given)
    registered = workers(made)
    told = made.rows.database.rows("heartbeat_worker", name="mine", status="draining")

    assert told == [{"name": "mine"}]
    assert made.rows.database.rows("heartbeat_worker", name="nobody", status="running") == []
    assert {registered[one]["status"] for one in ("mine", "new")} == {"running"}
    assert registered["mine"]["seen_at"] > before["seen_at"] + timedelta(minutes=50)
    seen = workers(made)
    assert seen["mine"]["status"] == "draining"
    assert seen["mine"]["seen_at"] > registered["mine"]["seen_at"]
    assert (seen["other"], seen["new"]) == (before, registered["new"])


def test_workers_that_have_ended_are_shown_for_minutes_and_forgotten_after_a_day(
    made: RunRows,
) -> None:
    for status in STATUSES:
        for ago in ("25 h", "23 h", "11 min", "9 min"):
            worker(made, f"{status} {ago}", status, ago=ago)
    for status in ("started", "completed", "retrying"):
        made.job(None, status, worker="running 9 min")
    made.job(None, "started", worker="draining 9 min")

    shown = made.rows.database.rows("workers")
    made.rows.database.rows("forget_old_workers")

    ended = [f"{one} 9 min" for one in ("stopped", "lost")]
    running = [name for name in workers(made) if name.startswith(("running", "draining"))]
    assert {row["name"] for row in shown} == {*running, *ended}
    assert len(running) == 8
    assert [row["started_at"] for row in shown] == sorted(row["started_at"] for row in shown)
    assert {row["name"]: row["running"] for row in shown if row["running"]} == {
        "running 9 min": 1, "draining 9 min": 1,
    }  # fmt: skip
    gone = {f"{status} {ago}" for status in STATUSES for ago in ("25 h", "23 h", "11 min", "9 min")}
    assert gone - set(workers(made)) == {"stopped 25 h", "lost 25 h"}


def test_the_attempts_of_a_worker_are_those_that_it_has_begun(made: RunRows) -> None:
    mine = made.job(None, "started", worker="mine", attempt=3)
    for status in ("completed", "retrying", "failed"):
        made.job(None, status, worker="mine")
    made.job(None, "started", worker="other")
    run = made.run(pipeline="p")
    step = made.job(run, pipeline="p", step="s")

    assert made.rows.database.rows("attempts_of_worker", worker="mine") == [
        {"id": mine, "attempt": 3}
    ]
    assert made.rows.database.rows("run_of_job", id=step) == [
        {"run_id": run, "pipeline": "p", "step": "s"}
    ]


def test_only_the_holder_gives_a_lease_up(made: RunRows) -> None:
    def is_live() -> bool:
        leader = made.rows.database.row("leader")
        assert leader is not None
        return bool(leader["live"])

    made.rows.database.rows("acquire_lease", holder="one", lease_s=600.0)
    made.rows.database.rows("give_up_lease", holder="two")
    assert is_live()
    made.rows.database.rows("give_up_lease", holder="one")
    assert not is_live()
