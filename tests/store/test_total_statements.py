"""What is counted as ended, and what /metrics reads: the statements alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from headrace.model.buckets import BOUNDS_S
from headrace.model.ids import new_id
from headrace.store.embedded import Servers
from headrace.store.statements import STATEMENTS
from tests.support.rows import Rows
from tests.support.run_rows import RunRows
from tests.support.servers import connect, create_database, database_name, drop_database

ENDED = ("completed", "failed", "cancelled", "skipped")
MARK = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def made(rows: Rows) -> RunRows:
    rows.sql("UPDATE headrace.total_mark SET until = %(mark)s", mark=MARK)
    return RunRows(rows)


def at(seconds: float) -> str:
    return (MARK + timedelta(seconds=seconds)).isoformat()


def attempt(made: RunRows, job: UUID, ended: float = 0, number: int = 1, how: str = "failed") -> None:  # noqa: E501 # fmt: skip
    made.rows.sql(
        "INSERT INTO headrace.job_attempt (job_id, attempt, outcome, finished_at)"
        " VALUES (%(id)s, %(number)s, %(how)s, %(at)s)",
        id=str(job), number=number, how=how, at=at(ended),
    )  # fmt: skip


def count(made: RunRows, of: str, *, number: int = 1, **given: Any) -> int:
    """Count what ended within a minute from the mark on."""
    window = {"since": MARK, "until": MARK + timedelta(minutes=1), "ids": None, **given}
    (told,) = made.rows.database.rows(f"count_{of}", **window, number=number, bounds=list(BOUNDS_S))
    return int(told["counted"])


def totals(made: RunRows) -> dict[str, dict[str, Any]]:
    return {row["name"]: dict(row) for row in made.rows.database.rows("totals")}


def of_pipelines(made: RunRows, after: int = -1) -> dict[str, dict[str, Any]]:
    found = made.rows.database.rows("changed_pipeline_totals", after=after)
    return {row["pipeline"]: dict(row) for row in found}


# -- whether there is something to count -----------------------------------------------------------


def test_each_kind_of_end_since_the_last_counting_is_seen(made: RunRows) -> None:
    def behind() -> bool:
        return bool(made.rows.database.rows("totals_behind")[0]["behind"])

    made.run()
    made.job(None, "started")
    for status in ENDED:
        made.job(None, status, finished_at=at(-1))
        made.run(status=status, finished_at=at(-1))
    attempt(made, new_id(), ended=-1)
    assert not behind()
    for status in ENDED:
        made.job(None, status, finished_at=at(0))
        assert behind()
        made.rows.sql("DELETE FROM headrace.job WHERE finished_at = %(at)s", at=at(0))
        made.run(status=status, finished_at=at(0))
        assert behind()
        made.rows.sql("DELETE FROM headrace.run WHERE finished_at = %(at)s", at=at(0))
    assert not behind()
    attempt(made, new_id(), ended=0)
    assert behind()


@contextmanager
def doing(url: str, statement: str) -> Iterator[None]:
    """Have a transaction open that has run a statement."""
    line = connect(url)
    with line.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(statement)
        yield
        cursor.execute("ROLLBACK")
    line.close()


def test_whoever_writes_jobs_runs_or_attempts_here_may_hold_an_end(
    made: RunRows, servers: Servers, template_database: str
) -> None:
    def writers() -> int:
        return len(made.rows.database.rows("open_writers")[0]["writers"])

    url = made.rows.url
    for table in ("job", "run", "job_attempt"):
        with doing(url, f"UPDATE headrace.{table} SET finished_at = finished_at"):
            assert writers() == 1, table
        with doing(url, f"SELECT FROM headrace.{table} FOR UPDATE"):
            assert writers() == 0, table
    with doing(url, "UPDATE headrace.worker SET seen_at = seen_at"):
        assert writers() == 0
    # A copy has tables of the same numbers.
    other = create_database(servers.database_url, template=database_name(template_database))
    with doing(other, "UPDATE headrace.job SET finished_at = finished_at"):
        assert writers() == 0
    drop_database(servers.database_url, other)


def test_the_time_of_a_look_lies_before_it(made: RunRows) -> None:
    # What ends between the clock's reading and that of the locks is in neither.
    looked = f"SELECT now = statement_timestamp() AS before FROM ({STATEMENTS['open_writers'].sql})"
    assert made.rows.sql(f"{looked} AS look") == [{"before": True}]


def test_who_counts_is_ended_after_seconds_of_silence_and_only_until_the_commit(
    made: RunRows,
) -> None:
    def patience(tx: Any) -> tuple[int, str]:
        asked = "SELECT pg_backend_pid(), current_setting('idle_in_transaction_session_timeout')"
        pid, setting = tx.connection.exec_driver_sql(asked).one()
        return pid, setting

    with made.rows.database.transaction() as tx:
        pid, before = patience(tx)
        first = tx.row("lock_totals")
        assert patience(tx) == (pid, "5s")
    with made.rows.database.transaction() as tx:
        assert patience(tx) == (pid, before)
        second = tx.row("lock_totals")
    assert first
    assert second
    assert (second["number"] - first["number"], second["until"]) == (1, MARK)


# -- the counting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["jobs", "runs"])
def test_ends_are_counted_by_their_kind_from_the_mark_to_a_time_before(
    made: RunRows, of: str
) -> None:
    def end(status: str, ended: float, pipeline: str = "p") -> UUID:
        columns = {"status": status, "finished_at": at(ended), "pipeline": pipeline}
        return made.run(**columns) if of == "runs" else made.job(None, **columns)

    for number, status in enumerate(ENDED, 1):
        for _ in range(number):
            end(status, 0)
        end(status, -1)
        end(status, 60)
    alone = end("skipped", 59.9, "other")
    made.job(None, "queued")
    made.run()

    assert count(made, of) == 11
    found = of_pipelines(made)
    assert {name: row[of] for name, row in found.items()} == {
        "p": [1, 2, 3, 4],
        "other": [0, 0, 0, 1],
    }
    assert count(made, of, number=7, ids=[alone]) == 1
    assert count(made, of, number=7, until=None, ids=[alone]) == 1
    changed = of_pipelines(made, after=1)
    assert {name: row[of] for name, row in changed.items()} == {"other": [0, 0, 0, 3]}
    assert of_pipelines(made, after=7) == {}
    count(made, of, number=8)
    assert of_pipelines(made)["p"][of] == [2, 4, 6, 8]


@pytest.mark.parametrize("of", ["jobs", "runs"])
def test_what_has_worked_to_its_end_has_a_duration_also_by_a_clock_that_was_set_back(
    made: RunRows, of: str
) -> None:
    for status, started in (("completed", -10), ("failed", -5), ("cancelled", -99), ("failed", 40)):
        columns = {"status": status, "started_at": at(started), "finished_at": at(0)}
        made.run(**columns) if of == "runs" else made.job(None, **columns)

    count(made, of)

    took = totals(made)[f"{of.removesuffix('s')}_duration"]
    assert (took["count"], took["sum"]) == (3, 15.0)


def test_a_job_has_waited_up_to_its_last_start(made: RunRows) -> None:
    for queued in (-7, 0, 5, None):
        made.job(None, "completed", started_at=at(0), finished_at=at(9),
                 queued_at=None if queued is None else at(queued))  # fmt: skip

    count(made, "jobs")

    waited = totals(made)["queue_wait"]
    assert (waited["count"], waited["sum"], waited["buckets"][0]) == (2, 7.0, 1)


def test_values_are_added_to_a_histogram_that_had_other_bounds(made: RunRows) -> None:
    made.rows.sql("INSERT INTO headrace.total VALUES ('waits', 2, 3.5, '{2}')")

    made.rows.database.rows("add_observations", name="waits", values=[0.0, 0.0, 9e9, None],
                            bounds=list(BOUNDS_S))  # fmt: skip

    told = totals(made)["waits"]
    assert (told["count"], told["sum"]) == (5, 3.5 + 9e9)
    assert told["buckets"] == [4, *[0] * (len(BOUNDS_S) - 1), 1]


def test_attempts_were_retried_unless_their_job_has_failed_with_them(made: RunRows) -> None:
    failed, done = made.job(None, "failed", attempt=3), made.job(None, "completed", attempt=2)
    for number in (1, 2, 3):
        attempt(made, failed, number=number, how="timed_out" if number == 1 else "failed")
    attempt(made, done)
    attempt(made, new_id(), how="crashed")  # Of a job that was deleted meanwhile.
    attempt(made, done, number=2, how="released")
    attempt(made, done, ended=-1, number=3)
    attempt(made, done, ended=60, number=4)
    window = {"since": MARK, "until": MARK + timedelta(minutes=1)}

    for times in (1, 2):
        made.rows.database.rows("count_attempts", **window)
        assert {name: row["count"] // times for name, row in totals(made).items()} == {
            "job_retries": 3,
            "worker_crashes": 1,
            "recoveries": 1,
        }


def test_a_worker_that_died_in_no_attempt_is_counted_at_once(made: RunRows) -> None:
    made.job(None, "started", worker="busy")
    made.job(None, "completed", worker="idle")
    for names in (["busy"], [], ["busy", "idle"], ["idle", "new"]):
        made.rows.database.rows("add_idle_crashes", names=names)
        found = totals(made)
        assert bool(found) == ("idle" in names)

    assert totals(made)["worker_crashes"]["count"] == 3


# -- before a reopening ----------------------------------------------------------------------------


def test_the_runs_of_jobs_and_their_ended_handlers_are_found(made: RunRows) -> None:
    run = made.run()
    jobs = [made.job(run), made.job(run), made.job(None)]
    found = made.rows.database.rows("runs_of_jobs", ids=jobs)
    assert [row["run_id"] for row in found] == [run]

    handlers = {status: made.job(run, status, handler="finally")
                for status in (*ENDED, "waiting", "started")}  # fmt: skip
    made.job(run, "failed")
    made.job(made.run(), "failed", handler="finally")
    found = made.rows.database.rows("handlers_to_reopen", runs=[run])
    expected = {handlers[one] for one in ("failed", "cancelled", "skipped")}
    assert {row["id"] for row in found} == expected


# -- what exists for each pipeline -----------------------------------------------------------------


def test_schedules_are_shown_that_are_declared_or_stand_still(made: RunRows) -> None:
    for name, declared, paused, skipped, due in (
        ("usual", "x", False, 0, "1 h"),
        ("removed", "", False, 0, "1 h"),
        ("before", None, False, 0, "1 h"),
        ("paused", "", True, 0, "-1 h"),
        ("resting", "x", True, 0, "1 h"),
        ("skipping", "x", False, 3, "1 h"),
        ("overdue", "x", False, 0, "-1 h"),
        ("ended", "x", False, 0, None),
    ):
        made.rows.sql(
            "INSERT INTO headrace.schedule (pipeline, declared, paused, skipped, seen_until,"
            " next_instant) VALUES (%(name)s, %(declared)s, %(paused)s, %(skipped)s, now(),"
            " now() + %(due)s::interval)",
            name=name, declared=declared, paused=paused, skipped=skipped, due=due,
        )  # fmt: skip
    made.rows.sql("INSERT INTO headrace.pipeline (name, version, definition, file)"
                  " VALUES ('plain', '1', '{}', 'f'), ('usual', '1', '{}', 'f')")  # fmt: skip

    (names,) = made.rows.database.rows("declared_pipelines")
    unusual = {row["pipeline"]: row for row in made.rows.database.rows("unusual_schedules")}

    assert sorted(names["names"]) == [
        "ended", "overdue", "paused", "plain", "resting", "skipping", "usual",
    ]  # fmt: skip
    assert {name: (row["paused"], row["skipped"]) for name, row in unusual.items()} == {
        "paused": (True, 0),
        "resting": (True, 0),
        "skipping": (False, 3),
        "overdue": (False, 0),
    }
    assert unusual["overdue"]["overdue_s"] >= 3600
    assert unusual["paused"]["overdue_s"] == unusual["skipping"]["overdue_s"] == 0
