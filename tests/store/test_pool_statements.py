"""Who waits for a slot of a pool, and who gets one: the statements alone."""

from threading import Thread
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.gating.pools import assign_slots_of
from headrace.model.ids import new_id
from tests.support.run_rows import RunRows
from tests.support.servers import connect

_POOL: dict[str, Any] = {"pool": "p", "pool_slots": 2}


def retrying(made: RunRows, due: str, **columns: Any) -> UUID:
    """Insert a job that waits for a retry."""
    job = made.job(None, "retrying", **{**_POOL, **columns})
    made.rows.sql(
        f"UPDATE headrace.job SET next_retry_time = now() + interval '{due}' WHERE id = %(id)s",
        id=str(job),
    )
    return job


def assigned(made: RunRows, slots: int) -> list[UUID]:
    """Give the pool's free slots away; return the jobs that are sent, in their order."""
    return [one.job_id for one in assign_slots_of(made.rows.database, "p", slots)]


def test_pools_are_wanted_by_what_has_passed_the_gate_or_is_to_be_tried_again(
    made: RunRows,
) -> None:
    made.job(None, pool="named", pool_slots=1, slot_wanted=True)
    made.job(None, pool="named", pool_slots=3, slot_wanted=True)
    made.job(None, pool="named", pool_slots=9, deps_left=1)
    made.job(None, pool="gone", pool_slots=1)
    made.job(None, slot_wanted=True)
    for status in ("queued", "started", "completed", "cancelled"):
        made.job(None, status, pool=status, pool_slots=1, slot_wanted=True)
    retrying(made, "-1 s", pool="again", pool_slots=7)
    retrying(made, "1 h", pool="later")
    retrying(made, "-1 s", pool=None)
    made.job(None, "failed", pool="failed", pool_slots=1, next_retry_time="2026-07-01")

    wanted = made.rows.database.rows("wanted_pools")

    # The size is that of the newest: the setting may have changed since the others were planned.
    assert [(row["pool"], row["slots"]) for row in wanted] == [("again", 7), ("named", 3)]


def test_free_slots_go_to_the_oldest_whatever_they_have_waited_for(made: RunRows) -> None:
    made.job(None, deps_left=1, **_POOL)  # Older than all, and not their turn.
    retrying(made, "1 h")
    ids = sorted(new_id() for _ in range(4))
    # The newest stands first in the table.
    last, third, second = (
        made.job(None, id=one, slot_wanted=True, **_POOL) for one in reversed(ids[1:])
    )
    first = retrying(made, "-1 s", id=ids[0])
    made.job(None, "failed", slot_wanted=True, **_POOL)
    made.job(None, pool="other", pool_slots=9, slot_wanted=True)
    taken = [made.job(None, status, **_POOL) for status in ("queued", "started")]
    made.job(None, "started", pool="other", pool_slots=9)
    made.rows.sql("UPDATE headrace.job SET updated_at = now() - interval '1 h'")
    before = made.rows.sql("SELECT now() AS now")[0]["now"]

    assert set(assigned(made, 4)) == {first, second}
    assert assigned(made, 4) == []
    for job in (first, second):
        state = ("status", "slot_wanted", "next_retry_time")
        assert made.of("job", job, *state) == ("queued", False, None)
        assert min(made.of("job", job, "queued_at", "updated_at")) > before
    assert [made.of("job", one, "status") for one in (third, last)] == ["waiting"] * 2
    assert [made.of("job", one, "status") for one in taken] == ["queued", "started"]
    assert set(assigned(made, 6)) == {third, last}


def test_a_pool_that_was_made_smaller_has_no_free_slot(made: RunRows) -> None:
    for _ in range(3):
        made.job(None, "started", **_POOL)
    waits = made.job(None, slot_wanted=True, **_POOL)

    assert assigned(made, 1) == []
    assert made.of("job", waits, "status") == "waiting"


@pytest.mark.parametrize("status", ["waiting", "retrying"])
def test_a_job_that_is_cancelled_meanwhile_gets_no_slot(made: RunRows, status: str) -> None:
    job = made.job(None, slot_wanted=True, **_POOL) if status == "waiting" else None
    job = job or retrying(made, "-1 s")
    sent: list[UUID] = []
    holder = connect(made.rows.url)
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(
            "UPDATE headrace.job SET status = 'cancelled', slot_wanted = false WHERE id = %s",
            (str(job),),
        )
        thread = Thread(target=lambda: sent.extend(assigned(made, 2)))
        thread.start()
        made.rows.wait_for_a_lock()
        cursor.execute("COMMIT")
    holder.close()
    thread.join()

    assert sent == []
    assert made.of("job", job, "status") == "cancelled"


def test_one_gives_slots_of_a_pool_away_at_a_time_and_only_that_spares_the_disk(
    made: RunRows,
) -> None:
    taking = "SELECT pg_try_advisory_xact_lock(hashtextextended('headrace pool p', 0)) AS free"

    def committing(tx: Any) -> tuple[int, str]:
        asked = "SELECT pg_backend_pid(), current_setting('synchronous_commit')"
        pid, setting = tx.connection.exec_driver_sql(asked).one()
        return pid, setting

    with made.rows.database.transaction() as tx:
        tx.rows("lock_pool", pool="p")
        inside, setting = committing(tx)
        assert setting == "off"
        assert made.rows.sql(taking) == [{"free": False}]
        assert made.rows.sql(taking.replace("pool p", "pool q")) == [{"free": True}]

    assert made.rows.sql(taking) == [{"free": True}]
    with made.rows.database.transaction() as tx:
        assert committing(tx) == (inside, "on")
