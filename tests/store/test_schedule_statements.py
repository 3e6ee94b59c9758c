"""Up to where schedules are dealt with: the statements alone."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.model.ids import new_id
from tests.support.rows import Rows
from tests.support.run_rows import RunRows

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


@pytest.fixture
def made(rows: Rows) -> RunRows:
    return RunRows(rows)


def schedule(
    made: RunRows,
    name: str,
    *,
    declared: str = "d",
    seen: datetime = BEFORE,
    paused: bool = False,
    skipped: int = 0,
) -> None:
    made.rows.sql(
        "INSERT INTO headrace.schedule"
        " (pipeline, declared, seen_until, next_instant, paused, skipped)"
        " VALUES (%(name)s, %(declared)s, %(seen)s, %(next)s, %(paused)s, %(skipped)s)",
        name=name, declared=declared, seen=seen.isoformat(), next=AFTER.isoformat(), paused=paused,
        skipped=skipped,
    )  # fmt: skip


def schedules(made: RunRows) -> dict[str, Any]:
    return {row["pipeline"]: row for row in made.rows.database.rows("schedules")}


def trigger(made: RunRows, pipeline: str) -> None:
    made.rows.sql(
        "INSERT INTO headrace.trigger (pipeline, upstream, statuses, seen_until)"
        " VALUES (%(pipeline)s, 'up', '{completed}', %(seen)s)",
        pipeline=pipeline, seen=BEFORE.isoformat(),
    )  # fmt: skip


def test_a_schedule_that_was_edited_or_lies_ahead_owes_nothing_and_one_that_is_gone_is_over(
    made: RunRows,
) -> None:
    schedule(made, "same")
    schedule(made, "edited", declared="before")
    schedule(made, "ahead", seen=AFTER)
    schedule(made, "gone")
    schedule(made, "held")
    schedule(made, "off", declared="")
    untouched = {name: schedules(made)[name] for name in ("held", "off")}
    known = [
        {"pipeline": name, "next_instant": "2026-07-02T00:00:00Z", "declared": "d"}
        for name in ("same", "edited", "ahead", "new")
    ]

    made.rows.database.rows("sync_schedules", schedules=json.dumps(known), now=NOW, held=["held"])

    found = schedules(made)
    assert {name: row["seen_until"] for name, row in found.items()} == {
        "same": BEFORE, "edited": NOW, "ahead": NOW, "new": NOW, "gone": BEFORE, "held": BEFORE,
        "off": BEFORE,
    }  # fmt: skip
    upcoming = datetime(2026, 7, 2, tzinfo=UTC)
    for name in ("same", "edited", "ahead", "new"):
        assert (found[name]["declared"], found[name]["next_instant"]) == ("d", upcoming)
    assert (found["gone"]["declared"], found["gone"]["next_instant"]) == ("", None)
    assert {name: found[name] for name in untouched} == untouched
    assert list(found) == sorted(found)


def test_schedules_are_locked_and_shown_by_name_and_no_others(made: RunRows) -> None:
    for name in ("c", "a", "b"):
        schedule(made, name, paused=name == "a")

    with made.rows.database.transaction() as tx:
        for setting in ("enable_indexscan", "enable_bitmapscan"):
            tx.connection.exec_driver_sql(f"SET LOCAL {setting} = off")
        locked = tx.rows("lock_schedules", pipelines=["c", "a"])
        assert {row["pipeline"] for row in tx.rows("schedules_of", pipelines=["b"])} == {"b"}
        busy = made.rows.sql(
            "SELECT pipeline FROM headrace.schedule ORDER BY pipeline FOR UPDATE SKIP LOCKED"
        )

    assert [(row["pipeline"], row["paused"]) for row in locked] == [("a", True), ("c", False)]
    assert [row["pipeline"] for row in busy] == ["b"]


def test_a_schedule_moves_on_by_itself_and_counts_what_it_has_passed_over(made: RunRows) -> None:
    for name in ("moved", "other"):
        schedule(made, name, skipped=2)
    before = schedules(made)
    done = {"pipeline": "moved", "seen_until": NOW.isoformat(), "next_instant": None, "skipped": 3}

    made.rows.database.rows("advance_schedules", schedules=json.dumps([done]))
    moved = schedules(made)["moved"]
    passed = json.dumps([{"pipeline": "moved", "runs": 4}])
    made.rows.database.rows("note_passed_over", passed=passed)

    assert (moved["seen_until"], moved["next_instant"], moved["skipped"]) == (NOW, None, 5)
    assert schedules(made)["moved"]["skipped"] == 9
    assert schedules(made)["other"] == before["other"]


def test_a_pause_holds_one_pipeline_and_its_end_makes_up_for_nothing(made: RunRows) -> None:
    for name in ("mine", "other", "on"):
        schedule(made, name, paused=name == "other")
        trigger(made, name)
    pause, resume = ("pause_schedule", "resume_schedule")
    for name in ("mine", "never declared"):
        made.rows.database.rows(pause, pipeline=name)
    others = {name: schedules(made)[name] for name in ("other", "on")}
    assert {name for name, row in schedules(made).items() if row["paused"]} == {
        "mine", "other", "never declared",
    }  # fmt: skip
    assert schedules(made)["mine"]["seen_until"] == BEFORE

    for name in ("mine", "on", "new"):
        made.rows.database.rows(resume, pipeline=name)

    found = schedules(made)
    assert {name for name, row in found.items() if row["paused"]} == {"other", "never declared"}
    assert found["mine"]["seen_until"] > BEFORE
    assert found["mine"]["declared"] == "d"
    assert found["new"]["declared"] == found["never declared"]["declared"] == ""
    assert found["other"] == others["other"]
    seen = {row["pipeline"]: row["seen_until"] for row in made.rows.database.rows("triggers")}
    # What was not paused owes what has ended before.
    assert (seen["on"], seen["other"]) == (BEFORE, BEFORE)
    assert seen["mine"] > BEFORE


def test_a_pause_holds_back_queued_runs_of_its_pipeline_that_no_step_waits_for(
    made: RunRows,
) -> None:
    ids = sorted((new_id() for _ in range(2)), reverse=True)
    for one in ids:
        made.run(id=one, pipeline="p", status="queued")
    for status in ("running", "completed", "skipped"):
        made.run(pipeline="p", status=status)
    made.run(pipeline="other", status="queued")
    made.run(pipeline="p", status="queued", parent_job=str(new_id()))

    with made.rows.database.transaction() as tx:
        for setting in ("enable_indexscan", "enable_bitmapscan"):
            tx.connection.exec_driver_sql(f"SET LOCAL {setting} = off")
        found = [row["id"] for row in tx.rows("queued_runs_of", pipeline="p")]

    assert found == sorted(ids)
