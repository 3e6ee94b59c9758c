"""Which ended runs a receiver gets, and what of them: the statements alone."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows

NOW = datetime(2020, 7, 1, 12, tzinfo=UTC)
# Where the receiver "mine" stands: the runs that ended at this instant are sent up to this id.
MARK = UUID(int=100)


def at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


@pytest.fixture
def marked(made: RunRows) -> RunRows:
    made.rows.sql(
        "INSERT INTO headrace.telemetry_mark VALUES ('mine', %(now)s, %(mark)s),"
        " ('other', %(later)s, %(mark)s), ('third', %(early)s, %(mark)s);"
        "UPDATE headrace.total_mark SET until = %(until)s",
        now=NOW, later=at(90), early=at(-90), mark=str(MARK), until=at(60),
    )  # fmt: skip
    return made


def ended(made: RunRows, minutes: int, status: str = "completed", **more: Any) -> UUID:
    return made.run(status=status, finished_at=at(minutes), **more)


def export(made: RunRows, receiver: str = "mine", limit: int = 50) -> list[UUID]:
    found = made.rows.database.rows("runs_to_export", receiver=receiver, limit=limit)
    return [row["id"] for row in found]


def marks(made: RunRows) -> dict[str, tuple[datetime, UUID]]:
    found = made.rows.sql("SELECT * FROM headrace.telemetry_mark")
    return {row["receiver"]: (row["finished_at"], row["run_id"]) for row in found}


def test_a_receiver_gets_what_has_ended_since_and_is_counted_in_the_order_of_the_ends(
    marked: RunRows,
) -> None:
    newer, older = sorted((new_id(), new_id()), reverse=True)
    late = ended(marked, 59, "skipped", id=UUID(int=1))
    same = [ended(marked, 20, "failed", id=newer), ended(marked, 20, "cancelled", id=older)]
    first = ended(marked, 10)
    at_mark = {number: ended(marked, 0, id=UUID(int=number)) for number in (102, 99, 100, 101)}
    before = ended(marked, -10, id=UUID(int=200))
    ended(marked, 60)  # It is not counted yet.
    for status in ("queued", "running"):
        ended(marked, 10, status)

    expected = [at_mark[101], at_mark[102], first, *reversed(same), late]
    assert export(marked) == expected
    assert export(marked, limit=4) == expected[:4]
    assert export(marked, "other") == []
    everything = [before, at_mark[99], at_mark[100], *expected]
    assert export(marked, "third") == everything


def test_a_run_of_a_step_names_the_run_of_that_step(marked: RunRows) -> None:
    above, other = marked.run(), marked.run()
    step, _beside = marked.job(above), marked.job(other)
    child = ended(marked, 10, parent_job=str(step), error="why", started_at=at(5))
    ended(marked, 11)

    rows = marked.rows.database.rows("runs_to_export", receiver="mine", limit=9)

    assert [row["parent_run"] for row in rows] == [above, None]
    assert (rows[0]["id"], rows[0]["parent_job"], rows[0]["error"]) == (child, step, "why")
    assert (rows[0]["started_at"], rows[0]["finished_at"]) == (at(5), at(10))


def test_of_the_runs_at_hand_all_jobs_and_their_failed_attempts_are_sent_in_their_order(
    made: RunRows,
) -> None:
    runs, other = [made.run(), made.run()], made.run()
    ids = sorted((new_id() for _ in range(3)), reverse=True)
    for job, run in zip(ids, (runs[0], runs[1], runs[0]), strict=True):
        made.job(run, "completed", id=job)
    beside = [made.job(other, "failed"), made.job(None, "failed")]
    for job in (*ids, *beside):
        for number in (2, 1):
            made.rows.sql(
                "INSERT INTO headrace.job_attempt (job_id, attempt, outcome)"
                " VALUES (%(job)s, %(number)s, 'failed')",
                job=str(job), number=number,
            )  # fmt: skip

    jobs = made.rows.database.rows("jobs_to_export", runs=runs)
    attempts = made.rows.database.rows("attempts_to_export", runs=runs)

    in_order = sorted(ids)
    assert [row["id"] for row in jobs] == in_order
    assert [(row["job_id"], row["attempt"]) for row in attempts] == [
        (job, number) for job in in_order for number in (1, 2)
    ]


def test_a_mark_moves_ahead_only_and_no_other_ones_does(marked: RunRows) -> None:
    before = marks(marked)

    def move(minutes: int, run: int) -> tuple[datetime, UUID]:
        marked.rows.database.rows(
            "move_telemetry_mark", receiver="mine", finished_at=at(minutes), run=UUID(int=run)
        )
        return marks(marked)["mine"]

    assert move(-1, 500) == before["mine"]
    assert move(0, 99) == before["mine"]
    assert move(0, 101) == (NOW, UUID(int=101))
    assert move(5, 1) == (at(5), UUID(int=1))
    assert {**marks(marked), "mine": before["mine"]} == before


def test_a_receiver_that_is_named_anew_begins_now_and_a_known_one_where_it_was(
    marked: RunRows,
) -> None:
    before = marks(marked)

    marked.rows.database.rows("begin_telemetry", receivers=["mine", "new"])

    after = marks(marked)
    assert after.pop("new")[0] > NOW
    assert after == before
