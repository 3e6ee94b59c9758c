"""What becomes of a run's handlers when it is to end once more: the statements alone."""

import json
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows

ENDED = ("completed", "failed", "cancelled", "skipped")
OPEN = ("waiting", "queued", "started", "retrying")


def handler(made: RunRows, run: UUID, status: str, step: str, **columns: Any) -> UUID:
    return made.job(run, status, step=step, **{"handler": "finally", **columns})


def test_of_each_handler_that_has_completed_the_newest_job_is_made_again(made: RunRows) -> None:
    run, other = made.run(), made.run()
    handler(made, run, "completed", "tell")
    ids = sorted((new_id() for _ in range(5)), reverse=True)
    # What is last in the table is first in the order of the ids.
    newest = [
        handler(made, run, "completed", "tell", id=ids[0]),
        handler(made, run, "completed", "tell", id=ids[1], handler="success"),
        handler(made, run, "completed", "each[0]", id=ids[2]),
        handler(made, run, "completed", "each[1]", id=ids[3]),
    ]
    maker = handler(made, run, "completed", "later", id=ids[4], job_class="foreach")
    made.below(handler(made, run, "completed", "later[0]"), maker)
    made.job(run, "completed", step="load")
    for status in (*OPEN, *ENDED[1:]):
        handler(made, run, status, status)
        # It has completed, and a later one of the same handler has not.
        handler(made, run, "completed", f"{status} again")
        handler(made, run, status, f"{status} again")
    for step in ("tell", "each[0]", "each[1]", "later"):
        handler(made, other, "completed", step)
        handler(made, other, "completed", step, handler="success")

    found = made.rows.database.rows("completed_handlers", runs=[run])

    assert [row["id"] for row in found] == [maker, *reversed(newest)]


def test_handlers_wait_again_and_those_that_have_completed_get_new_jobs(made: RunRows) -> None:
    run, other = made.run(), made.run()
    spent = {"retry_count": 3, "crash_count": 2, "given_back": 1, "slot_wanted": True,
             "child_state": "wanted", "next_retry_time": "2026-07-01", "queued_at": "2026-07-01",
             "finished_at": "2026-07-01", "skip_reason": "condition"}  # fmt: skip
    mine = {one: handler(made, run, one, one, **spent) for one in (*OPEN, *ENDED)}
    others = [handler(made, other, "failed", "b", **spent), made.job(run, "failed", **spent)]
    copied = {
        "job_class": "RunSql", "payload": json.dumps({"n": 1.0}), "queue": "high", "timeout_s": 7,
        "retry": json.dumps({"limit": 9}), "pipeline": "p", "step": "tell", "late": True,
        "trigger_rule": "all_done", "when_expr": "true", "allow_failure": True, "folder": "team",
        "logical_date": "2026-07-02", "handler": "success", "pool": "p", "pool_slots": 3,
        "env": json.dumps({"A": "b"}), "needs": 1, "timezone": "Asia/Tokyo",
    }  # fmt: skip
    done, copy = made.job(run, "completed", **copied, **spent), new_id()
    names = (*spent, "status")
    before = {one: made.of("job", one, *names) for one in (*mine.values(), *others, done)}

    copies = json.dumps([{"of": str(done), "id": str(copy)}])
    made.rows.database.rows("reopen_handlers", runs=[run], copies=copies)

    reopened = {mine[one] for one in ("failed", "cancelled", "skipped")}
    fresh = (0, 0, None, False, None, None, None, None, None, "waiting")
    assert {made.of("job", one, *names) for one in reopened} == {fresh}
    assert made.of("job", copy, *names, "attempt", "worker", "started_at") == (
        *fresh, 0, None, None,
    )  # fmt: skip
    assert made.of("job", copy, *copied, "run_id") == made.of("job", done, *copied, "run_id")
    kept = {one: made.of("job", one, *names) for one in before if one not in reopened}
    assert kept == {one: before[one] for one in kept}
    assert len(made.rows.sql("SELECT id FROM headrace.job")) == len(before) + 1


MADE = {"job_class": "foreach", "result": json.dumps(["x"])}


def items_of(made: RunRows, maker: UUID, run: UUID, **columns: Any) -> dict[str, UUID]:
    """Make one item of a maker in each status; return them by it."""
    return {
        one: made.below(handler(made, run, one, f"tell[{one}]", **columns), maker)
        for one in (*OPEN, *ENDED)
    }


def test_items_whose_maker_makes_them_anew_run_no_more(made: RunRows) -> None:
    run, other = made.run(), made.run()
    spent = {"slot_wanted": True, "skip_reason": "condition", "queued_at": "2026-07-01",
             "error": "bad"}  # fmt: skip
    mine = items_of(made, handler(made, run, "completed", "tell", **MADE), run, **spent)
    names = ("status", *spent, "finished_at", "updated_at")
    others = [
        *items_of(made, handler(made, other, "completed", "tell", **MADE), other, **spent).values(),
        # Of a maker that makes nothing, or has not made them; and a step.
        *items_of(made, handler(made, run, "failed", "no", **MADE), run, **spent).values(),
        *items_of(
            made, handler(made, run, "completed", "n", **{**MADE, "result": "[]"}), run, **spent
        ).values(),
        *items_of(made, handler(made, run, "completed", "other"), run, **spent).values(),
        made.below(made.job(run, "waiting"), made.job(run, "completed", **MADE)),
        handler(made, run, "waiting", "alone", **spent),
    ]
    before = {one: made.of("job", one, *names) for one in (*mine.values(), *others)}

    made.rows.database.rows("retire_items", runs=[run])

    retired = {mine[one] for one in ("waiting", "queued", "failed", "cancelled")}
    for one in retired:
        now = made.of("job", one, *names)
        assert now[:5] == ("skipped", False, None, None, "bad")
        assert now[5] > before[one][6]
        assert now[6] > before[one][6]
    kept = {one: made.of("job", one, *names) for one in before if one not in retired}
    assert kept == {one: before[one] for one in kept}


def test_they_are_not_opened_and_counted_as_what_they_were(made: RunRows) -> None:
    run = made.run()
    mine = items_of(made, handler(made, run, "completed", "tell", **MADE), run)
    ours = {handler(made, run, one, one) for one in ENDED[1:]}
    before = {one: made.of("job", one, "status") for one in mine.values()}

    found = made.rows.database.rows("handlers_to_reopen", runs=[run])
    made.rows.database.rows("reopen_handlers", runs=[run], copies="[]")

    # One that was skipped stays so: it ends no second time.
    assert {row["id"] for row in found} == ours | {mine["failed"], mine["cancelled"]}
    assert {made.of("job", one, "status") for one in ours} == {"waiting"}
    assert {one: made.of("job", one, "status") for one in mine.values()} == before


@pytest.mark.parametrize("kind", ["success", "finally"])
def test_a_handler_that_has_ended_is_not_opened_again(made: RunRows, kind: str) -> None:
    run = made.run(has_handlers=True)
    ended = {made.job(run, one, handler=kind, allow_failure=True): one for one in ENDED[:2]}
    ended[made.job(run, "skipped", handler=kind)] = "skipped"
    waits = made.job(run, handler=kind)

    opened = made.rows.database.rows("open_handlers", id=run)

    assert [row["id"] for row in opened] == [waits]
    assert {one: made.of("job", one, "status") for one in ended} == ended
