"""Which ended runs of one pipeline start runs of another: the statements alone."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from tests.support.rows import Rows
from tests.support.run_rows import RunRows
from tests.support.servers import connect

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


@pytest.fixture
def made(rows: Rows) -> RunRows:
    return RunRows(rows)


def trigger(
    made: RunRows,
    pipeline: str,
    upstream: str,
    *,
    seen: datetime = BEFORE,
    statuses: Sequence[str] = ("completed",),
) -> None:
    made.rows.sql(
        "INSERT INTO headrace.trigger (pipeline, upstream, statuses, seen_until)"
        " VALUES (%(pipeline)s, %(upstream)s, %(statuses)s, %(seen)s)",
        pipeline=pipeline, upstream=upstream, statuses=list(statuses), seen=seen.isoformat(),
    )  # fmt: skip


def triggers(made: RunRows) -> dict[tuple[str, str], Any]:
    found = made.rows.database.rows("triggers")
    return {(row["pipeline"], row["upstream"]): row for row in found}


def used(made: RunRows, pipeline: str, *runs: UUID, into: UUID | None = None) -> None:
    entries = [
        {
            "pipeline": pipeline,
            "upstream_run": str(run),
            "outcome": "started" if into else "expired",
            "run_id": str(into) if into else None,
            "error": None,
        }
        for run in runs
    ]
    made.rows.database.rows("note_triggered", used=json.dumps(entries))


def ended(made: RunRows, pipeline: str, at: datetime = NOW, status: str = "completed", **columns: Any) -> UUID:  # noqa: E501 # fmt: skip
    return made.run(pipeline=pipeline, status=status, finished_at=at.isoformat(), **columns)


def test_a_trigger_counts_from_when_it_is_declared_and_anew_when_it_is_changed(
    made: RunRows,
) -> None:
    future = datetime.now(UTC) + timedelta(hours=1)
    trigger(made, "b", "same")
    trigger(made, "a", "wider")
    trigger(made, "a", "ahead", seen=future)
    trigger(made, "a", "not declared", seen=future)
    declared = [
        {"pipeline": pipeline, "upstream": upstream, "statuses": statuses}
        for pipeline, upstream, statuses in (
            ("b", "same", ["completed"]),
            ("a", "wider", ["completed", "failed"]),
            ("a", "ahead", ["completed"]),
            ("a", "new", ["failed"]),
        )
    ]

    made.rows.database.rows("sync_triggers", triggers=json.dumps(declared))

    found = triggers(made)
    assert found["b", "same"]["seen_until"] == BEFORE
    assert found["a", "wider"]["statuses"] == ["completed", "failed"]
    assert found["a", "new"]["statuses"] == ["failed"]
    for upstream in ("wider", "ahead", "new"):
        assert BEFORE < found["a", upstream]["seen_until"] < future
    assert found["a", "not declared"]["seen_until"] == future
    assert list(found) == sorted(found)
    gone = [{"pipeline": "a", "upstream": "new"}, {"pipeline": "b", "upstream": "wider"}]
    made.rows.database.rows("forget_triggers", triggers=json.dumps(gone))
    assert set(triggers(made)) == set(found) - {("a", "new")}


def test_a_trigger_takes_the_first_runs_of_its_upstream_that_ended_so_and_are_not_used_up(
    made: RunRows,
) -> None:
    for name in ("p", "not asked"):
        trigger(made, name, "up", statuses=("completed", "failed"))
    trigger(made, "p", "also")
    late = ended(made, "up", AFTER)
    tied = [ended(made, "up", NOW, id=one) for one in sorted((new_id(), new_id()), reverse=True)]
    first = ended(made, "up", BEFORE, "failed")
    of_other = ended(made, "also")
    ended(made, "also", status="failed")
    ended(made, "up", BEFORE - timedelta(seconds=1))
    ended(made, "up", status="cancelled")
    ended(made, "elsewhere")
    taken, for_another = ended(made, "up"), ended(made, "up", AFTER + timedelta(hours=1))
    used(made, "p", taken)
    used(made, "not asked", for_another, first)

    def unused(most: int) -> dict[str, list[UUID]]:
        found: dict[str, list[UUID]] = {"up": [], "also": []}
        for row in made.rows.database.rows("unused_upstream_runs", pipelines=["p"], most=most):
            assert row["waiting"] == "p"
            found[row["pipeline"]].append(row["id"])
        return found

    assert unused(10) == {"up": [first, *sorted(tied), late, for_another], "also": [of_other]}
    assert unused(2) == {"up": [first, min(tied)], "also": [of_other]}
    short = made.rows.database.rows("unused_upstream", pipelines=["p"], most=2)
    assert {(row["pipeline"], row["id"]) for row in short} == {
        ("p", one) for one in (first, min(tied), of_other)
    }


def test_triggers_are_locked_in_their_order_and_not_their_schedules(made: RunRows) -> None:
    for pipeline, upstream in (("c", "y"), ("c", "x"), ("a", "z"), ("b", "x")):
        trigger(made, pipeline, upstream)
    for pipeline, paused in (("c", True), ("b", False), ("a", False)):
        made.rows.sql(
            "INSERT INTO headrace.schedule (pipeline, seen_until, paused)"
            " VALUES (%(pipeline)s, now(), %(paused)s)",
            pipeline=pipeline, paused=paused,
        )  # fmt: skip
    made.rows.sql("DELETE FROM headrace.schedule WHERE pipeline = 'a'")

    with made.rows.database.transaction() as tx:
        for setting in ("indexscan", "bitmapscan", "mergejoin"):
            tx.connection.exec_driver_sql(f"SET LOCAL enable_{setting} = off")
        locked = tx.rows("lock_triggers", pipelines=["c", "a"])
        free = made.rows.sql("SELECT pipeline FROM headrace.trigger FOR UPDATE SKIP LOCKED")
        schedules = made.rows.sql("SELECT pipeline FROM headrace.schedule FOR UPDATE SKIP LOCKED")

    assert [(row["pipeline"], row["upstream"], row["paused"]) for row in locked] == [
        ("a", "z", False), ("c", "x", True), ("c", "y", True),
    ]  # fmt: skip
    assert [row["pipeline"] for row in free] == ["b"]
    assert len(schedules) == 2


def test_a_trigger_moves_on_up_to_what_waits_and_never_back(made: RunRows) -> None:
    visible = AFTER
    minute_before = visible - timedelta(minutes=1)
    trigger(made, "p", "plain")
    trigger(made, "p", "waiting")
    trigger(made, "p", "further", seen=visible)
    between = NOW + timedelta(minutes=10)
    trigger(made, "p", "past what waits", seen=between)
    trigger(made, "other", "plain")
    waiting = {"waiting": NOW.isoformat(), "past what waits": NOW.isoformat()}
    done = [{"pipeline": "p", "waiting": waiting}]

    made.rows.database.rows("advance_triggers", visible_until=visible, done=json.dumps(done))

    assert {key: row["seen_until"] for key, row in triggers(made).items()} == {
        ("p", "plain"): minute_before,
        ("p", "waiting"): NOW,
        ("p", "further"): visible,
        ("p", "past what waits"): between,
        ("other", "plain"): BEFORE,
    }


def test_a_run_is_told_what_has_triggered_it_in_the_order_of_their_ends(made: RunRows) -> None:
    run, other = made.run(pipeline="p"), made.run(pipeline="p")
    ids = sorted((new_id() for _ in range(3)), reverse=True)
    late = ended(made, "up", AFTER, id=ids[2])
    tied = [ended(made, "up", NOW, "failed", id=one) for one in ids[:2]]
    used(made, "p", late, *tied, into=run)
    used(made, "p", ended(made, "up"), into=other)
    used(made, "q", late)

    told = made.rows.database.rows("upstream_of_run", id=run)

    assert [row["id"] for row in told] == [*sorted(tied), late]


def test_the_newest_runs_that_a_pipeline_has_seen_are_told_with_what_became_of_them(
    made: RunRows,
) -> None:
    run = made.run(pipeline="p")
    old, middle, new = (ended(made, "up") for _ in range(3))
    for one in (new, old, middle):
        used(made, "p", one, into=run)
    used(made, "q", old, middle)
    used(made, "r", old)
    made.rows.sql(
        "UPDATE headrace.triggered SET used_at = CASE upstream_run WHEN %(one)s THEN now()"
        " ELSE now() - interval '1 min' END",
        one=str(middle),
    )

    def last(limit: int) -> list[tuple[str, UUID, str]]:
        found = made.rows.database.rows("last_triggered", pipelines=["q", "p"], limit=limit)
        return [(row["pipeline"], row["upstream_run"], row["outcome"]) for row in found]

    assert last(3) == [
        ("p", middle, "started"), ("p", new, "started"), ("p", old, "started"),
        ("q", middle, "expired"), ("q", old, "expired"),
    ]  # fmt: skip
    assert last(1) == [("p", new, "started"), ("q", middle, "expired")]


@contextmanager
def open_transaction(url: str, *, writes: bool = True) -> Iterator[datetime]:
    """Leave a transaction open; its beginning is given."""
    line = connect(url)
    with line.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT now()")
        ((began,),) = cursor.fetchall()
        if writes:
            cursor.execute("SELECT pg_current_xact_id()::text")
        yield began
        cursor.execute("ROLLBACK")
    line.close()


def test_what_ended_is_visible_up_to_the_first_open_transaction_that_writes_here(
    made: RunRows, empty_database: str
) -> None:
    with made.rows.database.transaction() as tx, ExitStack() as stack:
        tx.connection.exec_driver_sql("SELECT pg_current_xact_id()::text")
        stack.enter_context(open_transaction(empty_database))
        stack.enter_context(open_transaction(made.rows.url, writes=False))
        first = stack.enter_context(open_transaction(made.rows.url))
        stack.enter_context(open_transaction(made.rows.url))
        stack.enter_context(open_transaction(made.rows.url, writes=False))
        told = tx.row("visible_until")
        assert told is not None
        assert told["visible_until"] == first
    (clock,) = made.rows.database.rows("clock")
    told = made.rows.database.row("visible_until")
    assert told is not None
    assert told["visible_until"] > clock["now"]
