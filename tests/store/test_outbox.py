"""What the ends of runs leave in the outbox, and who may send it."""

import json
import threading
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from headrace.store.database import Database
from tests.support.rows import Rows

ALL = ["failure", "recovery", "late", "success"]


class Outbox:
    """Runs that end, and what is written of it."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def start(
        self, pipeline: str = "p", on: list[str] | None = None, *, told: bool = True, **columns: Any
    ) -> UUID:
        run_id = new_id()
        notify = json.dumps({"on": on or ALL, "to": ["pager"]}) if told else None
        values = {"trigger": "manual", "expected": None, "logical_date": "2026-01-01T00:00Z"}
        self.rows.sql(
            "INSERT INTO headrace.run (id, pipeline, version, trigger, logical_date, params, plan,"
            " status, started_at, notify, expected) VALUES (%(id)s, %(pipeline)s, 'v', %(trigger)s,"
            " %(logical_date)s, '{}', '{}', 'running', clock_timestamp(), %(notify)s,"
            " %(expected)s)",
            **{**values, **columns, "id": str(run_id), "pipeline": pipeline, "notify": notify},
        )
        return run_id

    def add_job(self, run_id: UUID, step: str, status: str, error: str | None = None) -> UUID:
        job_id = self.rows.add(status, attempt=2)
        self.rows.sql(
            "UPDATE headrace.job SET run_id = %(run)s, step = %(step)s, error = %(error)s,"
            " retry_count = 1, finished_at = clock_timestamp() WHERE id = %(id)s",
            run=str(run_id),
            step=step,
            error=error,
            id=str(job_id),
        )
        return job_id

    def end(self, status: str = "completed", pipeline: str = "p", **more: Any) -> UUID:
        run_id = self.start(pipeline, **more)
        if status == "cancelled":
            self.rows.database.rows("cancel_run", id=run_id, error=None)
            return run_id
        self.add_job(run_id, "load", status, "KeyError: 'x'" if status == "failed" else None)
        self.rows.database.rows("finish_run", ids=[run_id])
        return run_id

    def kinds(self) -> list[str]:
        found = self.rows.sql("SELECT kind FROM headrace.notification ORDER BY created_at, id")
        return sorted(row["kind"] for row in found)

    def all(self) -> list[dict[str, Any]]:
        return self.rows.sql("SELECT * FROM headrace.notification ORDER BY created_at")


@pytest.fixture
def outbox(rows: Rows) -> Outbox:
    return Outbox(rows)


@pytest.fixture
def leading(rows: Rows) -> Database:
    rows.database.rows("acquire_lease", holder="one", lease_s=600.0)
    return rows.database


def claimed(
    database: Database, busy: list[str] | None = None, term: int = 1, claim_s: float = 60.0
) -> list[dict[str, Any]]:
    return database.rows("claim_notifications", busy=busy or [], most=9, claim_s=claim_s, term=term)


def test_a_failed_run_is_told_with_step_attempt_and_error(outbox: Outbox) -> None:
    run_id = outbox.end("failed", on=["failure"])

    (row,) = outbox.all()
    assert (row["kind"], row["receiver"], row["pipeline"]) == ("failure", "pager", "p")
    assert (str(row["run_id"]), row["status"], row["tries"]) == (str(run_id), "pending", 0)
    assert row["content"]["failed_steps"] == 1
    # Two of its three retries were left: the second attempt of four.
    (step,) = row["content"]["steps"]
    assert step == {"step": "load", "attempt": 2, "of": 4, "error": "KeyError: 'x'"}


def test_a_limit_of_retries_that_is_written_as_a_decimal_ends_a_run_like_another(
    outbox: Outbox,
) -> None:
    run_id = outbox.start()
    outbox.add_job(run_id, "load", "failed", "bad")
    outbox.rows.sql("""UPDATE headrace.job SET retry = '{"limit": 3.0}'""")
    outbox.rows.database.rows("finish_run", ids=[run_id])

    assert outbox.kinds() == ["failure"]


def test_each_failed_run_is_told_and_the_first_completed_one_is_the_only_recovery(
    outbox: Outbox,
) -> None:
    for status in ("completed", *["failed"] * 10, "cancelled", "completed", "completed"):
        outbox.end(status, on=["failure", "recovery"])

    assert outbox.kinds() == ["failure"] * 10 + ["recovery"]
    (recovery,) = (row for row in outbox.all() if row["kind"] == "recovery")
    assert recovery["content"]["failures"] == 10


def test_a_failed_run_that_is_retried_and_completes_is_the_recovery(outbox: Outbox) -> None:
    run_id = outbox.end("failed", on=["failure", "recovery"])
    outbox.rows.sql("UPDATE headrace.job SET status = 'completed' WHERE step = 'load'")
    outbox.rows.database.rows("reopen_runs", ids=[run_id])
    outbox.rows.database.rows("finish_run", ids=[run_id])

    assert outbox.kinds() == ["failure", "recovery"]


def test_runs_that_complete_at_the_same_time_are_one_recovery(outbox: Outbox) -> None:
    outbox.end("failed")
    runs = [outbox.start() for _ in range(8)]
    for run_id in runs:
        outbox.add_job(run_id, "load", "completed")
    finish = outbox.rows.database.rows
    threads = [
        threading.Thread(target=finish, args=("finish_run",), kwargs={"ids": [one]}) for one in runs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outbox.kinds() == ["failure", "recovery"] + ["success"] * 8


def test_a_run_that_nobody_is_told_of_leaves_nothing(outbox: Outbox) -> None:
    outbox.end("failed", told=False)
    outbox.end("completed", told=False)
    outbox.end("completed", on=["failure"])

    assert outbox.all() == []
    assert outbox.rows.sql("SELECT * FROM headrace.alarm") == []


def test_a_run_whose_end_is_rolled_back_is_not_told(outbox: Outbox) -> None:
    run_id = outbox.start()
    outbox.add_job(run_id, "load", "failed", "bad")
    with suppress(ZeroDivisionError), outbox.rows.database.transaction() as tx:
        tx.rows("finish_run", ids=[run_id])
        raise ZeroDivisionError

    assert outbox.all() == []


def test_a_session_with_another_search_path_ends_runs_all_the_same(outbox: Outbox) -> None:
    run_id = outbox.start()
    with outbox.rows.database.transaction() as tx:
        tx.connection.exec_driver_sql("SET LOCAL search_path = pg_temp")
        tx.rows("finish_run", ids=[run_id])

    assert outbox.kinds() == ["success"]


def test_a_notification_is_taken_once_and_only_by_who_leads(
    outbox: Outbox, leading: Database
) -> None:
    outbox.end("failed")

    assert claimed(leading, term=2) == []
    (row,) = claimed(leading)
    assert row["tries"] == 1
    assert claimed(leading) == []


def test_a_claim_that_nobody_has_recorded_the_end_of_is_taken_over_with_the_same_id(
    outbox: Outbox, leading: Database
) -> None:
    outbox.end("failed")
    (first,) = claimed(leading, claim_s=0.0)
    (second,) = claimed(leading)

    assert (second["id"], second["tries"]) == (first["id"], 2)
    # The one who was too late changes nothing any more.
    for statement, values in (
        ("end_notification", {"status": "sent", "error": None}),
        ("postpone_notification", {"wait_s": 60.0, "error": "late"}),
    ):
        assert leading.rows(statement, id=first["id"], tries=1, **values) == []
    ended = {"id": first["id"], "tries": 2, "status": "sent", "error": None}
    assert leading.rows("end_notification", **ended)
    assert claimed(leading) == []
    # What was sent is counted for /metrics, once.
    assert leading.rows("end_notification", **ended) == []
    with leading.transaction() as tx:
        counted = "SELECT count FROM headrace.total WHERE name = 'notices'"
        assert tx.connection.exec_driver_sql(counted).scalar_one() == 1


def test_a_recovery_does_not_overtake_its_failure(outbox: Outbox, leading: Database) -> None:
    outbox.end("failed", on=["failure", "recovery"])
    (failure,) = claimed(leading)
    leading.rows("postpone_notification", id=failure["id"], tries=1, wait_s=60.0, error="away")
    outbox.end("completed", on=["failure", "recovery"])
    outbox.end("failed", "other")

    (other,) = claimed(leading)
    assert other["pipeline"] == "other"
    assert claimed(leading) == []
    leading.rows("hurry_notifications", receiver="pager")
    assert [row["id"] for row in claimed(leading)] == [failure["id"]]


def test_one_that_is_being_sent_is_not_hurried(outbox: Outbox, leading: Database) -> None:
    outbox.end("failed")
    claimed(leading)
    leading.rows("hurry_notifications", receiver="pager")

    assert claimed(leading) == []


def test_a_receiver_that_is_busy_is_left_alone(outbox: Outbox, leading: Database) -> None:
    outbox.end("failed")

    assert claimed(leading, ["pager"]) == []


def test_receivers_that_are_away_take_no_place_from_the_others(
    outbox: Outbox, leading: Database
) -> None:
    outbox.end("failed", "other")
    outbox.rows.sql(
        "UPDATE headrace.notification"
        " SET receiver = 'away', next_try = clock_timestamp() + interval '1 minute'"
    )
    outbox.end("failed")

    (row,) = leading.rows("claim_notifications", busy=[], most=1, claim_s=60.0, term=1)

    assert row["receiver"] == "pager"


def late(leading: Database, term: int = 1) -> list[tuple[str, str]]:
    return [(row["step"], row["rule"]) for row in leading.rows("note_late", term=term)]


def test_a_run_is_late_once_and_only_while_it_is(outbox: Outbox, leading: Database) -> None:
    expected = json.dumps({"": {"deadline_s": None, "duration_s": 0.0}})
    run_id = outbox.start(expected=expected)
    ended = outbox.end(expected=expected, on=["late"])
    patient = outbox.start(expected=json.dumps({"": {"deadline_s": 600.0, "duration_s": 600.0}}))

    assert late(leading, term=2) == []
    assert late(leading) == [("", "expected_duration")]
    assert late(leading) == []
    (row,) = outbox.all()
    assert (row["kind"], str(row["run_id"])) == ("late", str(run_id))
    assert row["content"]["limit_s"] == 0
    assert outbox.rows.sql(
        "SELECT late FROM headrace.run WHERE id IN (%(a)s, %(b)s)", a=str(ended), b=str(patient)
    ) == [{"late": None}, {"late": None}]


def test_who_did_not_ask_for_late_runs_is_told_of_none(outbox: Outbox, leading: Database) -> None:
    expected = json.dumps({"": {"deadline_s": None, "duration_s": 0.0}})
    outbox.start(expected=expected, on=["failure", "recovery", "success"])

    assert late(leading) == [("", "expected_duration")]  # the page shows it all the same
    assert outbox.all() == []


def test_a_deadline_counts_from_the_instant_only_where_a_schedule_made_the_run(
    outbox: Outbox, leading: Database
) -> None:
    expected = json.dumps({"": {"deadline_s": 3600.0, "duration_s": None}})
    outbox.start("by_hand", expected=expected)
    outbox.start("backfilled", expected=expected, trigger="backfill")
    outbox.start("due", expected=expected, trigger="schedule")

    assert [row["pipeline"] for row in leading.rows("note_late", term=1)] == ["due"]


def test_a_step_is_late_while_one_of_its_jobs_is_open(outbox: Outbox, leading: Database) -> None:
    limit = {"deadline_s": None, "duration_s": 0.0}
    run_id = outbox.start(expected=json.dumps(dict.fromkeys(("over", "each", "waiting"), limit)))
    outbox.add_job(run_id, "over", "completed")
    outbox.add_job(run_id, "each[0]", "completed")
    outbox.add_job(run_id, "each[1]", "started")
    outbox.add_job(run_id, "waiting", "waiting")

    assert late(leading) == [("each", "expected_duration")]
    assert late(leading) == []


def test_what_was_sent_is_pruned_and_what_waits_is_kept(outbox: Outbox, leading: Database) -> None:
    outbox.end("failed")
    outbox.end("failed", "other")
    (row,) = claimed(leading)
    leading.rows("end_notification", id=row["id"], tries=1, status="given_up", error="away")
    outbox.rows.sql("UPDATE headrace.notification SET created_at = created_at - interval '2 days'")

    leading.rows("prune_notifications", older_than_s=86400.0)

    assert [one["status"] for one in outbox.all()] == ["pending"]


def test_all_is_well_only_with_a_worker_and_schedules_in_time(
    outbox: Outbox, leading: Database
) -> None:
    def ails(term: int = 1) -> list[str]:
        return [row["why"] for row in leading.rows("ails", lease_s=10.0, term=term)]

    assert ails() == ["no worker is alive"]
    leading.rows(
        "register_worker", name="w", hostname="h", pid=1, birth_ticks=1, queues=["high"],
        processes=1, job_files="",
    )  # fmt: skip
    assert ails() == []
    assert ails(term=2) == ["another daemon is active"]
    outbox.rows.sql(
        "INSERT INTO headrace.schedule (pipeline, seen_until, next_instant, declared)"
        " VALUES ('nightly', now(), now() - interval '1 hour', 'x')"
    )
    assert ails() == ["the schedule of nightly is late"]
