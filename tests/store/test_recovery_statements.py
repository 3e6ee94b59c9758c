"""What the active daemon repairs, and what is read of upstream jobs: the statements alone."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows

OPEN = ("waiting", "queued", "started", "retrying")
ENDED = ("completed", "failed", "cancelled", "skipped")


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


def test_retries_are_queued_when_their_wait_is_over_and_they_need_no_slot(made: RunRows) -> None:
    due = made.job(None, "retrying", next_retry_time=ago(1))
    later = made.job(None, "retrying", next_retry_time=ago(-9))
    pooled = made.job(None, "retrying", next_retry_time=ago(1), pool="p", pool_slots=1)
    others = [made.job(None, one, next_retry_time=ago(1)) for one in (*OPEN[:3], *ENDED)]
    held = made.job(None, "retrying", next_retry_time=ago(2))
    before = [made.of("job", one, "status", "updated_at") for one in (later, pooled, *others)]

    with made.rows.database.transaction() as tx:
        tx.connection.exec_driver_sql(f"SELECT FROM headrace.job WHERE id = '{held}' FOR UPDATE")
        told = made.rows.database.rows("due_retries")

    assert [row["id"] for row in told] == [due]
    assert made.of("job", due, "status", "next_retry_time") == ("queued", None)
    assert made.of("job", due, "queued_at") is not None
    assert before == [
        made.of("job", one, "status", "updated_at") for one in (later, pooled, *others)
    ]
    made.rows.database.rows("end_waits")
    assert {row["id"] for row in made.rows.database.rows("due_retries")} == {held, later}
    assert made.of("job", pooled, "status") == "retrying"
    assert [made.of("job", one, "next_retry_time") is None for one in others] == [False] * 7


def test_only_a_wait_that_is_not_over_is_ended(made: RunRows) -> None:
    at, ahead = ago(1), ago(-9)
    over = made.job(None, "retrying", next_retry_time=at)
    ended = made.job(None, "completed", next_retry_time=ahead)
    ahead_of = made.job(None, "retrying", next_retry_time=ahead)

    made.rows.database.rows("end_waits")

    times = [made.of("job", one, "next_retry_time") for one in (over, ended, ahead_of)]
    assert times[:2] == [datetime.fromisoformat(at), datetime.fromisoformat(ahead)]
    assert times[0] < times[2] < times[1]


def test_messages_are_missed_of_jobs_that_are_queued_for_long_oldest_first(made: RunRows) -> None:
    ids = sorted(new_id() for _ in range(3))
    for job, minutes in zip(ids, (5, 7, 6), strict=True):
        made.job(None, "queued", id=job, queued_at=ago(minutes), attempt=2)
    made.job(None, "queued", queued_at=ago(0))
    for status in (*ENDED, "started", "retrying", "waiting"):
        made.job(None, status, queued_at=ago(9))

    found = made.rows.database.rows("overdue_messages", older_than_s=60.0)

    assert [row["id"] for row in found] == [ids[1], ids[2], ids[0]]
    again = [{"id": str(ids[0]), "attempt": 2}, {"id": str(ids[1]), "attempt": 1}]
    started = made.job(None, "started", attempt=2)
    again += [{"id": str(started), "attempt": 2}, {"id": str(UUID(int=1)), "attempt": 2}]
    still = made.rows.database.rows("still_queued", attempts=json.dumps(again))
    assert [(row["id"], row["attempt"]) for row in still] == [(ids[0], 2)]


def test_a_run_is_forgotten_whose_jobs_have_all_ended(made: RunRows) -> None:
    done = made.run()
    for status in ENDED:
        made.job(done, status)
    for status in OPEN:
        run = made.run()
        made.job(run, status)
        made.job(run, "completed")
    for status in ("queued", "completed", "failed", "cancelled"):
        made.job(made.run(status=status), "completed")

    assert [row["id"] for row in made.rows.database.rows("forgotten_runs")] == [done]
    job = made.job()
    known = made.rows.database.rows("known_jobs", ids=[job, UUID(int=1)])
    assert [row["id"] for row in known] == [job]


def test_a_step_is_told_the_ended_steps_of_its_run_and_not_what_has_made_items(
    made: RunRows,
) -> None:
    run, other = made.run(), made.run()
    ids = sorted((new_id() for _ in range(4)), reverse=True)
    for job, status in zip(ids, ENDED, strict=True):
        made.job(run, status, id=job, step=status)
    for status in OPEN[:2]:
        made.job(run, status, step=status)
    maker = {"job_class": "foreach", "step": "items"}
    made.job(run, "completed", result='["a"]', **maker)
    made.job(run, "completed", result="[]", **maker | {"step": "none"}, id=UUID(int=1))
    made.job(run, "failed", result='["a"]', **maker | {"step": "broken"}, id=UUID(int=2))
    made.job(run, "completed", result='["a"]', step="list", id=UUID(int=3))
    made.job(other, "completed", step="elsewhere")
    asking = made.job(run, "started", step="me")

    told = made.rows.database.rows("upstream_results", id=asking)

    assert [row["step"] for row in told] == ["none", "broken", "list", *reversed(ENDED)]
