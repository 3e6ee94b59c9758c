"""How a run ends, which of its handlers run, and which run is next: the statements alone."""

import json
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from tests.support.rows import Rows
from tests.support.run_rows import RunRows


@pytest.fixture
def made(rows: Rows) -> RunRows:
    return RunRows(rows)


def finish(made: RunRows, *runs: UUID) -> dict[UUID, str]:
    found = made.rows.database.rows("finish_run", ids=list(runs))
    return {row["id"]: row["status"] for row in found}


# The statuses of a run's jobs (an allowed failure is `failed?`), and its own.
ENDS: list[tuple[tuple[str, ...], str]] = [
    ((), "completed"),
    (("completed", "skipped"), "completed"),
    (("completed", "failed?"), "completed"),
    (("completed", "cancelled"), "cancelled"),
    (("cancelled", "failed?"), "cancelled"),
    (("completed", "failed"), "failed"),
    (("cancelled", "failed"), "failed"),
    (("failed?", "failed"), "failed"),
    *(((one, "failed"), "running") for one in ("waiting", "queued", "started", "retrying")),
]


def add_jobs(made: RunRows, run: UUID, statuses: tuple[str, ...], **columns: Any) -> list[UUID]:
    return [
        made.job(run, one.rstrip("?"), allow_failure=one.endswith("?"), **columns)
        for one in statuses
    ]


def test_a_run_ends_as_its_jobs_have_ended(made: RunRows) -> None:
    runs = {}
    for statuses, outcome in ENDS:
        run = made.run()
        add_jobs(made, run, statuses)
        runs[run] = outcome
    # Whoever has cancelled it wants it cancelled, whatever its last jobs did.
    cancelled = made.run(cancelled_at="2026-07-01")
    add_jobs(made, cancelled, ("failed",))
    runs[cancelled] = "cancelled"
    queued = made.run(status="queued")
    other = made.run()

    told = finish(made, *runs, queued)

    assert {run: made.of("run", run, "status") for run in runs} == runs
    assert told == {run: status for run, status in runs.items() if status != "running"}
    for run, outcome in runs.items():
        assert (made.of("run", run, "finished_at") is None) == (outcome == "running")
    assert made.of("run", queued, "status") == "queued"
    assert made.of("run", other, "status") == "running", "nobody has asked for it"
    assert finish(made, *runs) == {}, "an end is told once"


def test_a_run_whose_steps_have_ended_waits_for_its_handlers(made: RunRows) -> None:
    run = made.run(has_handlers=True)
    step = made.job(run, "started", step="a")
    handler = made.job(run, handler="finally", step="b")

    assert finish(made, run) == {}
    made.rows.sql("UPDATE headrace.job SET status = 'completed' WHERE id = %(id)s", id=str(step))
    assert finish(made, run) == {run: "running"}, "its handlers are to be opened"
    for column in ("slot_wanted = true", "child_state = 'wanted'"):
        made.rows.sql(f"UPDATE headrace.job SET {column} WHERE id = %(id)s", id=str(handler))
        assert finish(made, run) == {}, "its turn has come, it waits for something else"
        made.rows.sql(
            "UPDATE headrace.job SET slot_wanted = false, child_state = NULL WHERE id = %(id)s",
            id=str(handler),
        )
    for status in ("queued", "started", "retrying"):
        made.rows.sql(f"UPDATE headrace.job SET status = '{status}' WHERE id = '{handler}'")
        assert finish(made, run) == {}
    made.rows.sql(f"UPDATE headrace.job SET status = 'completed' WHERE id = '{handler}'")
    assert finish(made, run) == {run: "completed"}


def test_a_run_that_is_over_or_has_not_begun_opens_no_handler(made: RunRows) -> None:
    runs = [made.run(status=status, has_handlers=True) for status in ("queued", "cancelled")]
    for run in runs:
        made.job(run, handler="finally", step="b")

    assert finish(made, *runs) == {}


# How the steps of a run have ended, and whether it was cancelled; what runs then.
TURNS: list[tuple[tuple[str, ...], bool, str | None]] = [
    (("completed", "skipped", "failed?"), False, "success"),
    (("completed", "failed"), False, "failure"),
    (("cancelled", "failed"), False, "failure"),
    (("completed", "cancelled"), False, None),
    (("completed", "failed"), True, None),
]


@pytest.mark.parametrize(("steps", "is_cancelled", "due"), TURNS)
def test_first_the_handlers_for_the_outcome_run_and_then_the_last_ones(
    made: RunRows, steps: tuple[str, ...], is_cancelled: bool, due: str | None
) -> None:
    run = made.run(has_handlers=True, cancelled_at="2026-07-01" if is_cancelled else None)
    add_jobs(made, run, steps)
    kinds = ("success", "failure", "finally")
    plain = {kind: made.job(run, handler=kind) for kind in kinds}
    pooled = {kind: made.job(run, handler=kind, pool="p") for kind in kinds}
    asking = {kind: made.job(run, handler=kind, when_expr="x") for kind in kinds}
    each = (plain, pooled, asking)
    elsewhere = made.job(made.run(has_handlers=True), handler="finally")

    opened = made.rows.database.rows("open_handlers", id=run)

    assert len(opened) == 6
    for kind in ("success", "failure"):
        states = [made.of("job", one[kind], "status", "skip_reason") for one in each]
        times = [made.of("job", one[kind], "queued_at", "finished_at") for one in each]
        if kind == due:
            assert states == [("queued", None), ("waiting", None), ("waiting", None)]
            assert [bool(queued) for queued, _finished in times] == [True, False, False]
            assert all(finished is None for _queued, finished in times)
        else:
            assert states == [("skipped", "condition")] * 3
            assert all(finished and not queued for queued, finished in times)
    assert [made.of("job", one["finally"], "status") for one in each] == ["waiting"] * 3
    made.rows.sql(
        "UPDATE headrace.job SET status = 'completed' WHERE run_id = %(run)s"
        " AND handler <> 'finally' AND status IN ('queued', 'waiting')",
        run=str(run),
    )
    made.rows.database.rows("open_handlers", id=run)
    last = [made.of("job", one["finally"], "status", "skip_reason") for one in each]
    assert last == [("queued", None), ("waiting", None), ("waiting", None)]
    assert made.of("job", plain["finally"], "queued_at") is not None
    assert made.of("job", plain["finally"], "finished_at") is None
    assert made.of("job", elsewhere, "status") == "waiting"


def test_no_handler_is_opened_while_a_step_or_another_handler_has_not_ended(made: RunRows) -> None:
    for status in ("waiting", "queued", "started", "retrying"):
        run = made.run(has_handlers=True)
        made.job(run, status)
        handler = made.job(run, handler="finally")
        assert made.rows.database.rows("open_handlers", id=run) == []
        assert made.of("job", handler, "status") == "waiting"


def test_a_handler_is_told_the_steps_that_have_failed_in_their_order_and_no_others(
    made: RunRows,
) -> None:
    run, other = made.run(started_at="2026-07-01"), made.run()
    late, early = sorted((new_id(), new_id()), reverse=True)
    made.job(run, "failed", step="late", id=late)
    made.job(run, "failed", step="early", id=early)
    made.job(run, "failed", step="allowed", allow_failure=True)
    made.job(run, "completed", step="done")
    made.job(run, "cancelled", step="off")
    made.job(run, "failed", step="handler", handler="failure")
    made.job(other, "failed", step="elsewhere")
    handler = made.job(run, "started", step="tell", handler="finally")
    step = made.job(run, "started", step="last")

    told = made.rows.database.row("run_of_attempt", id=handler)
    of_step = made.rows.database.row("run_of_attempt", id=step)

    assert told is not None
    assert of_step is not None
    assert (told["outcome"], told["failed_steps"]) == ("failed", ["early", "late"])
    assert told["duration_s"] > 0
    # A step is told nothing of an end that has not come.
    assert [of_step[name] for name in ("outcome", "failed_steps", "duration_s")] == [None] * 3


# -- limits -----------------------------------------------------------------------------------


def release(made: RunRows, *groups: str) -> set[UUID]:
    return {row["id"] for row in made.rows.database.rows("release_runs", groups=list(groups))}


def test_queued_runs_start_in_their_order_as_far_as_the_lowest_limit_before_them(
    made: RunRows,
) -> None:
    made.run(status="running", concurrency_group="g", concurrency_limit=3)
    limits = (3, 3, 2, 9)
    queued = [
        made.run(status="queued", concurrency_group="g", concurrency_limit=most) for most in limits
    ]
    beside = made.run(status="queued", concurrency_group="h", concurrency_limit=1)
    not_asked = made.run(status="queued", concurrency_group="i", concurrency_limit=1)

    # One runs, two more may; the third has a lower limit, and nobody overtakes it.
    assert release(made, "g", "h") == {queued[0], queued[1], beside}
    assert release(made, "g", "h") == set()
    assert [made.of("run", one, "status") for one in (*queued, not_asked)] == [
        "running", "running", "queued", "queued", "queued",
    ]  # fmt: skip
    started = made.of("run", queued[0], "started_at")
    assert started is not None
    assert made.of("run", queued[2], "started_at") is None


def test_runs_of_a_paused_or_removed_pipeline_hold_up_no_other_but_a_step_goes_on(
    made: RunRows,
) -> None:
    made.rows.sql(
        "INSERT INTO headrace.schedule (pipeline, seen_until, paused)"
        " VALUES ('paused', now(), true),"
        " ('on', now(), false);"
        "INSERT INTO headrace.withdrawn (pipeline) VALUES ('gone')"
    )
    step = made.job(made.run(), "waiting")

    def queued(pipeline: str, **columns: Any) -> UUID:
        group = {"concurrency_group": "g", "concurrency_limit": 4}
        return made.run(pipeline=pipeline, status="queued", **group, **columns)

    paused, gone = queued("paused"), queued("gone")
    for_step, of_gone = (queued(name, parent_job=str(step)) for name in ("paused", "gone"))
    on, other = queued("on"), queued("p")

    assert release(made, "g") == {for_step, of_gone, on, other}
    assert [made.of("run", one, "status") for one in (paused, gone)] == ["queued"] * 2


def test_the_first_steps_of_a_released_run_are_queued_and_what_is_to_be_decided_waits(
    made: RunRows,
) -> None:
    run = made.run()
    plain = made.job(run)
    decided = [made.job(run, when_expr="x"), made.job(run, pool="p", pool_slots=1)]
    left = [
        made.job(run, deps_left=1),
        made.job(run, handler="finally"),
        made.job(made.run()),
        made.job(run, "completed"),
    ]
    before = [made.of("job", one, "status") for one in left]

    told = made.rows.database.rows("release_roots", runs=[run])

    assert {row["id"]: row["status"] for row in told} == {
        plain: "queued", **dict.fromkeys(decided, "waiting"),
    }  # fmt: skip
    assert made.of("job", plain, "queued_at") is not None
    assert [made.of("job", one, "queued_at") for one in decided] == [None, None]
    assert [made.of("job", one, "status") for one in left] == before


def test_the_sweep_looks_at_each_group_in_which_a_run_waits_once(made: RunRows) -> None:
    for group, status in (("g", "queued"), ("g", "queued"), ("h", "running"), (None, "queued")):
        made.run(status=status, concurrency_group=group)

    assert made.rows.database.rows("groups_with_queued_runs") == [{"name": "g"}]


def test_the_open_runs_of_a_group_are_told_oldest_first_with_those_that_are_ending(
    made: RunRows,
) -> None:
    ids = sorted((new_id() for _ in range(4)), reverse=True)
    group = {"concurrency_group": "g"}
    made.run(id=ids[0], status="queued", **group)
    made.run(id=ids[1], cancelled_at="2026-07-01", **group)
    made.run(id=ids[2], **group)
    made.run(id=ids[3], status="completed", **group)
    made.run(concurrency_group="other")

    told = made.rows.database.rows("open_runs_of_groups", groups=["g"])

    assert [(row["id"], row["status"], row["ending"]) for row in told] == [
        (ids[2], "running", False),
        (ids[1], "running", True),
        (ids[0], "queued", False),
    ]


def test_a_run_has_the_times_of_what_it_was_admitted_as(made: RunRows) -> None:
    started = made.run()
    for status in ("queued", "running", "skipped", "failed", "cancelled"):
        run = made.run(status="queued")
        admitted = [{"id": str(one), "status": status, "error": "why"} for one in (run, started)]

        rows = made.rows.database.rows("admit_runs", runs=json.dumps(admitted))

        assert [row["id"] for row in rows] == [run]
        assert made.of("run", run, "status", "error") == (status, "why")
        assert (made.of("run", run, "started_at") is not None) == (status == "running")
        over = status not in ("queued", "running")
        assert (made.of("run", run, "finished_at") is not None) == over
    assert made.of("run", started, "status") == "running", "what has started is decided"
