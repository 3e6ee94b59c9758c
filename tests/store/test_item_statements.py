"""The jobs of a step's items, and the runs of steps that are pipelines: the statements alone."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows
from tests.support.servers import connect

ENDED = ("completed", "failed", "cancelled", "skipped")
OPEN = ("waiting", "queued", "started", "retrying")
_MAKER: dict[str, Any] = {
    "job_class": "foreach", "queue": "high", "timeout_s": 7, "retry": json.dumps({"limit": 9}),
    "pipeline": "p", "step": "each", "allow_failure": True, "folder": "team",
    "logical_date": "2026-07-02", "handler": "finally", "needs": 1, "timezone": "Asia/Tokyo",
}  # fmt: skip


@contextmanager
def listening(made: RunRows) -> Iterator[Callable[[], bool]]:
    """Yield what tells whether the daemon's bell was rung since it was last asked."""
    line = connect(made.rows.url)
    with line.cursor() as cursor:
        cursor.execute("LISTEN headrace_bell")

        def rung() -> bool:
            cursor.execute("SELECT 1")  # What was committed before comes with the answer.
            heard = bool(line.notifies)
            line.notifies.clear()
            return heard

        yield rung
    line.close()


def ids_of(rows: list[Any]) -> list[UUID]:
    return [row["id"] for row in rows]


# -- items of a result -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job_class", "pool", "state"),
    [
        ("RunSql", None, ("queued", None, None, False, None, None)),
        ("RunSql", "p", ("waiting", "p", 3, True, None, None)),
        ("pipeline other", None, ("waiting", None, None, False, "true", "wanted")),
        ("pipeline other", "p", ("waiting", "p", 3, True, "true", "wanted")),
    ],
)
def test_an_items_job_is_as_the_one_that_makes_it_and_waits_for_a_slot_or_a_run_only(
    made: RunRows, job_class: str, pool: str | None, state: tuple[Any, ...]
) -> None:
    run = made.run()
    maker = made.job(run, "completed", **_MAKER)
    item = new_id()

    with listening(made) as rung:
        made.rows.database.rows(
            "insert_items",
            id=maker,
            job_class=job_class,
            items=json.dumps(
                [{"id": str(item), "step": "each[0]", "payload": '{"n": 1.0}', "env": {"A": "b"}}]
            ),
            pool=pool,
            slots=None if pool is None else 3,
            dependents=5,
        )
        assert rung() == (state[-1] == "wanted")

    alike = [name for name in _MAKER if name not in ("job_class", "step")]
    assert made.of("job", item, *alike, "run_id") == made.of("job", maker, *alike, "run_id")
    own = made.of("job", item, "job_class", "step", "payload", "env", "dependents")
    assert own == (job_class, "each[0]", {"n": 1.0}, {"A": "b"}, 5)
    names = ("status", "pool", "pool_slots", "slot_wanted", "when_expr", "child_state")
    assert made.of("job", item, *names) == state
    assert (made.of("job", item, "queued_at") is not None) == (state[0] == "queued")


def test_what_waits_for_the_step_waits_for_each_item_instead(made: RunRows) -> None:
    run = made.run()
    maker = made.job(run, "completed", dependents=9)
    items = [made.job(run), made.job(run)]
    waits = made.job(run, deps_left=3)
    released = made.job(run, deps_left=0)
    gone = made.job(run, "skipped", deps_left=1)
    beside = made.job(run)
    other = made.below(made.job(run, deps_left=1), beside)
    for one in (waits, released, gone):
        made.below(one, maker)
    made.rows.sql("UPDATE headrace.job SET updated_at = now() - interval '1 h'")
    before = made.rows.sql("SELECT now() AS now")[0]["now"]

    below = [waits, released, gone]
    made.rows.database.rows("hand_over", id=maker, items=items, dependants=below)

    edges = made.rows.sql("SELECT upstream_id, job_id FROM headrace.job_dependency")
    found = {(UUID(str(one["upstream_id"])), UUID(str(one["job_id"]))) for one in edges}
    expected = {(item, one) for item in items for one in below} | {(maker, one) for one in items}
    assert found == {*expected, (beside, other)}
    assert made.of("job", maker, "dependents") == 2
    assert [made.of("job", one, "deps_left") for one in (*below, other)] == [4, 1, 1, 1]
    assert made.of("job", waits, "updated_at") > before
    assert made.of("job", gone, "updated_at") < before


def test_one_that_no_longer_waits_for_the_step_itself_is_not_left_below_none(
    made: RunRows,
) -> None:
    maker = made.job(None, "completed")
    below = made.below(made.job(None, deps_left=0), maker)

    made.rows.database.rows("hand_over", id=maker, items=[], dependants=[below])

    assert made.of("job", below, "deps_left") == 0


# -- runs of steps ---------------------------------------------------------------------------------


def child(made: RunRows, run: UUID, state: str | None = "wanted", **columns: Any) -> UUID:
    given = {"job_class": "pipeline other", "step": "call", **columns}
    return made.job(run, given.pop("status", "waiting"), child_state=state, **given)


def wanted(made: RunRows, limit: int = 100) -> list[Any]:
    return made.rows.database.rows("wanted_children", limit=limit)


def test_runs_are_wanted_by_the_oldest_first_and_as_many_as_a_step_allows(made: RunRows) -> None:
    run, other = made.run(), made.run()
    ids = sorted(new_id() for _ in range(6))
    each: dict[str, Any] = {"pool_slots": 2}
    third = child(made, run, id=ids[2], step="each[2]", **each)
    child(made, run, "begun", id=ids[3], step="each[0]", **each)
    second = child(made, run, id=ids[1], step="each[1]", **each)
    elsewhere = [child(made, other, id=one, step="each[0]", **each) for one in ids[4:]]
    free = child(made, run, id=ids[0], step="free")
    child(made, run, None)
    child(made, run, status="cancelled")
    child(made, run, "begun", step="free")

    # Begun ones keep their places, also where they are newer.
    assert ids_of(wanted(made)) == [free, second, *elsewhere]
    assert ids_of(wanted(made, limit=2)) == [free, second]
    assert third not in ids_of(wanted(made))
    assert ids_of(made.rows.database.rows("lock_wanted_children", ids=[second, free])) == [
        free, second,
    ]  # fmt: skip


def test_who_wants_a_run_is_told_with_its_parents_and_whether_that_is_paused(
    made: RunRows,
) -> None:
    top = made.run(pipeline="top")
    middle = made.run(pipeline="middle", parent_job=str(child(made, top, "begun")))
    plan = json.dumps({"timezone": "Asia/Tokyo"})
    low = made.run(pipeline="low", parent_job=str(child(made, middle, "begun")), plan=plan,
                   logical_date="2026-07-03")  # fmt: skip
    call = child(made, low, payload='{"a": 1}')
    child(made, low, job_class="pipeline ther")
    for name, paused in (("other", True), ("ther", False), ("low", True)):
        made.rows.sql("INSERT INTO headrace.schedule (pipeline, paused, seen_until) VALUES"
                      " (%(name)s, %(paused)s, now())", name=name, paused=paused)  # fmt: skip

    told, second = wanted(made)

    assert (told["id"], told["run_id"], told["pipeline"]) == (call, low, "low")
    assert told["above"] == ["top", "middle", "low"]
    assert (told["timezone"], told["payload"]) == ("Asia/Tokyo", {"a": 1})
    assert told["logical_date"].date().isoformat() == "2026-07-03"
    assert (told["paused"], second["paused"]) == (True, False)


def test_only_who_still_wants_a_run_is_held_for_it(made: RunRows) -> None:
    run = made.run()
    earlier = made.run()
    wants = child(made, run, child_run=str(earlier))
    others = [child(made, run, "begun"), child(made, run, status="cancelled"), child(made, run)]

    def free(table: str) -> set[UUID]:
        found = made.rows.sql(f"SELECT id FROM headrace.{table} FOR UPDATE SKIP LOCKED")
        return {UUID(str(row["id"])) for row in found}

    with made.rows.database.transaction() as tx:
        held = tx.rows("lock_wanted_children", ids=[wants, *others[:2]])
        assert free("job") == set(others)
        tx.rows("earlier_child", id=earlier)
        assert free("run") == {run}

    assert [(row["id"], row["child_run"]) for row in held] == [(wants, earlier)]
    before = made.rows.sql("SELECT now() AS now")[0]["now"]
    begun = json.dumps([{"job": str(wants), "run": str(run)}])
    made.rows.database.rows("begin_children", begun=begun)
    assert made.of("job", wants, "child_state", "child_run") == ("begun", run)
    assert made.of("job", wants, "updated_at") > before
    assert made.of("job", others[2], "child_state", "child_run") == ("wanted", None)


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_step_goes_on_once_its_latest_run_has_ended(made: RunRows, forgotten: bool) -> None:
    run = made.run()

    def calling(ended: str, state: str = "begun", **columns: Any) -> tuple[UUID, UUID]:
        job = child(made, run, state, **columns)
        latest = made.run(status=ended, parent_job=str(job))
        made.rows.sql(
            "UPDATE headrace.job SET child_run = %(run)s, updated_at = now() - interval '1 h'"
            " WHERE id = %(id)s",
            run=str(latest),
            id=str(job),
        )
        return job, latest

    due = [calling(status) for status in ENDED]
    others = [calling("running"), calling("queued")]
    others += [calling("completed", "wanted"), calling("completed", status="cancelled")]
    again, latest = calling("running")
    others += [(again, latest), (again, made.run(status="failed", parent_job=str(again)))]
    before = datetime.now(UTC)

    if forgotten:
        lost, gone = calling("completed")
        made.rows.sql("DELETE FROM headrace.run WHERE id = %(id)s", id=str(gone))
        due.append((lost, gone))
        woken = made.rows.database.rows("wake_forgotten_parents")
        assert not made.rows.database.rows("child_of_job", id=lost)
    else:
        runs = [one for _, one in (*due, *others)]
        woken = made.rows.database.rows("wake_parents", runs=runs)

    assert set(ids_of(woken)) == {job for job, _ in due}
    for job, _ in due:
        assert made.of("job", job, "status", "child_state") == ("queued", None)
        assert min(made.of("job", job, "queued_at", "updated_at")) >= before
    assert {made.of("job", job, "status") for job, _ in others} == {"waiting", "cancelled"}
    (outcome,) = made.rows.database.rows("child_of_job", id=again)
    assert outcome["id"] == latest, "the run of an earlier start is none of the outcome"
    (outcome,) = made.rows.database.rows("child_of_job", id=due[1][0])
    assert (outcome["id"], outcome["status"]) == (due[1][1], "failed")


def test_the_sweep_wakes_what_nobody_holds(made: RunRows) -> None:
    run = made.run()
    held, free = child(made, run, "begun"), child(made, run, "begun")
    line = connect(made.rows.url)
    with line.cursor() as cursor, made.rows.database.transaction() as tx:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM headrace.job WHERE id = %s FOR UPDATE", (str(held),))
        tx.connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        assert ids_of(tx.rows("wake_forgotten_parents")) == [free]
        cursor.execute("ROLLBACK")
    line.close()

    assert ids_of(made.rows.database.rows("wake_forgotten_parents")) == [held]


def test_the_next_item_may_start_where_a_step_has_no_more_than_some_at_a_time(
    made: RunRows,
) -> None:
    run = made.run()
    with listening(made) as rung:
        for slots in (None, 2):
            job = child(made, run, "begun", pool_slots=slots)
            ended = made.run(status="completed", parent_job=str(job))
            begun = json.dumps([{"job": str(job), "run": str(ended)}])
            made.rows.database.rows("begin_children", begun=begun)
            assert not rung()
            assert ids_of(made.rows.database.rows("wake_parents", runs=[ended])) == [job]
            assert rung() == (slots is not None)


def test_a_run_and_the_steps_that_have_started_others_name_each_other(made: RunRows) -> None:
    run = made.run(pipeline="parent")
    ids = sorted(new_id() for _ in range(3))
    latest = {}
    for one in reversed(ids):
        child(made, run, "begun", id=one, step=str(one))
        made.run(parent_job=str(one))  # Of an earlier start.
        latest[one] = made.run(parent_job=str(one), pipeline="child")
        begun = json.dumps([{"job": str(one), "run": str(latest[one])}])
        made.rows.database.rows("begin_children", begun=begun)
    child(made, run)
    child(made, made.run(), "begun", child_run=str(latest[ids[0]]))

    found = made.rows.database.rows("children_of_run", run_id=run)
    (parent,) = made.rows.database.rows("parent_of_run", id=latest[ids[1]])

    assert [(row["step"], row["id"]) for row in found] == [(str(i), latest[i]) for i in ids]
    assert made.rows.database.rows("parent_of_run", id=run) == []
    assert (parent["run_id"], parent["pipeline"], parent["job_id"]) == (run, "parent", ids[1])
    assert parent["step"] == str(ids[1])
