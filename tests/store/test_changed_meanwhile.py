"""A row that another session changes while a statement is on its way is looked at once more."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows
from tests.support.servers import connect

# A clock that stands still while somebody holds a lock. A statement that reads it has its snapshot
# by then, and has locked nothing yet.
_HELD_CLOCK = """
CREATE SCHEMA held;
CREATE FUNCTION held.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1);
    RETURN pg_catalog.clock_timestamp();
END $$
"""


@pytest.fixture
def leading(made: RunRows) -> RunRows:
    made.rows.database.rows("acquire_lease", holder="one", lease_s=600.0)
    return made


def told(made: RunRows, change: str, send: Callable[[], Any], *, held: str = "") -> list[Any]:
    """Return what a statement tells that waits for a change, or for what is `held` before it."""
    found: list[Any] = []
    thread = Thread(target=lambda: found.extend(send()))
    holder = connect(made.rows.url)
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(held or change)
        thread.start()
        made.rows.wait_for_a_lock()
        if held:
            cursor.execute(change)
        cursor.execute("COMMIT")
    holder.close()
    thread.join()
    return found


@pytest.mark.parametrize(
    "change",
    [
        "status = 'sent'",
        "taken_until = now() + interval '1 h'",
        "next_try = now() + interval '1 h'",
    ],
)
def test_a_notification_that_another_daemon_ends_takes_or_puts_off_is_not_taken(
    leading: RunRows, change: str
) -> None:
    leading.rows.sql(_HELD_CLOCK)
    mine, other = new_id(), new_id()
    for one, receiver in ((mine, "pager"), (other, "mail")):
        leading.rows.sql(
            "INSERT INTO headrace.notification (id, kind, receiver, pipeline, content, next_try)"
            " VALUES (%(id)s, 'failure', %(receiver)s, 'p', '{}', now() - interval '1 min')",
            id=str(one), receiver=receiver,
        )  # fmt: skip

    def take() -> list[Any]:
        with leading.rows.database.transaction() as tx:
            tx.connection.exec_driver_sql("SET LOCAL search_path = held, pg_catalog")
            return tx.rows("claim_notifications", busy=[], most=9, claim_s=60.0, term=1)

    update = f"UPDATE headrace.notification SET {change} WHERE id = '{mine}'"
    taken = told(leading, update, take, held="SELECT pg_advisory_xact_lock(1)")

    assert [row["id"] for row in taken] == [other]
    assert leading.of("notification", mine, "tries") == 0


def test_a_run_that_ends_meanwhile_is_not_late(leading: RunRows) -> None:
    limits = json.dumps({"": {"deadline_s": None, "duration_s": 60.0}})
    started = datetime.now(UTC) - timedelta(minutes=20)
    ended, goes_on = (leading.run(expected=limits, started_at=started) for _ in range(2))

    late = told(
        leading,
        f"UPDATE headrace.run SET status = 'completed' WHERE id = '{ended}'",
        lambda: leading.rows.database.rows("note_late", term=1),
    )

    assert [row["id"] for row in late] == [goes_on]
    assert leading.of("run", ended, "late") is None


def test_a_queued_run_that_is_cancelled_meanwhile_does_not_start(made: RunRows) -> None:
    group = {"status": "queued", "concurrency_group": "g", "concurrency_limit": 2}
    cancelled, other = made.run(**group), made.run(**group)

    released = told(
        made,
        f"UPDATE headrace.run SET status = 'cancelled' WHERE id = '{cancelled}'",
        lambda: made.rows.database.rows("release_runs", groups=["g"]),
    )

    assert [row["id"] for row in released] == [other]
    assert made.of("run", cancelled, "status", "started_at") == ("cancelled", None)


def test_the_second_of_two_cancellations_at_once_ends_the_run(made: RunRows) -> None:
    run = made.run()
    made.job(run, handler="finally")

    ended = told(
        made,
        f"UPDATE headrace.run SET cancelled_at = now() WHERE id = '{run}'",
        lambda: made.rows.database.rows("cancel_run", id=run, error=None),
    )

    assert [(row["id"], row["status"]) for row in ended] == [(run, "cancelled")]


def test_a_job_that_is_cancelled_while_its_worker_gives_it_back_stays_cancelled(
    made: RunRows,
) -> None:
    job = made.job(None, "started")
    given = {"id": job, "attempt": 1, "waits_s": [60.0], "most": 4, "unknown": True}

    back = told(
        made,
        f"UPDATE headrace.job SET status = 'cancelled' WHERE id = '{job}'",
        lambda: made.rows.database.rows("give_back_attempt", **given, error="e", prefix="p"),
    )

    assert back == []
    assert made.of("job", job, "status") == "cancelled"
    assert made.rows.sql("SELECT FROM headrace.job_attempt") == []
