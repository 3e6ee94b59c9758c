"""Totals of what has ended: each end is counted once, whoever counts, deletes or reopens."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.gating.ended_totals import lock_totals
from headrace.engine.gating.run_completion import reopen
from headrace.engine.operations import totals
from headrace.engine.operations.retention import prune
from headrace.engine.operations.totals import Horizon, count, count_all
from headrace.model.buckets import BOUNDS_S
from headrace.store.database import Transaction
from headrace.store.statements import STATEMENTS
from tests.support.rows import Rows
from tests.support.servers import connect

COMPLETE = """UPDATE headrace.job SET status = 'completed', finished_at = clock_timestamp()
 WHERE id = '{}'"""


def total(rows: Rows, name: str) -> dict[str, Any]:
    found = {row["name"]: row for row in rows.database.rows("totals")}
    return dict(found.get(name, {"count": 0, "sum": 0.0, "buckets": []}))


def ended(rows: Rows, of: str = "jobs", pipeline: str = "") -> list[int]:
    """Return how many have completed, failed, were cancelled and skipped."""
    found = rows.database.rows("changed_pipeline_totals", after=-1)
    return next((list(row[of]) for row in found if row["pipeline"] == pipeline), [0, 0, 0, 0])


def completed(rows: Rows) -> UUID:
    job = rows.add("started")
    rows.sql(COMPLETE.format(job))
    return job


@contextmanager
def completing(rows: Rows) -> Iterator[Any]:
    """A transaction that has completed a job, before its commit."""
    job = rows.add("started")
    line = connect(rows.url)
    line.autocommit = False
    with closing(line), line.cursor() as cursor:
        cursor.execute(COMPLETE.format(job))
        yield line


def now(rows: Rows) -> datetime:
    found: datetime = rows.sql("SELECT clock_timestamp() AS now")[0]["now"]
    return found


def test_each_end_is_counted_once(rows: Rows):
    completed(rows)
    rows.fail(rows.add("started"), 1)
    rows.database.rows("skip_jobs", ids=[rows.add("waiting")], reason="condition")
    rows.database.rows("cancel_jobs", ids=[rows.add()], run_id=None, keep_finally=False)
    rows.add("started")

    for _ in range(2):
        count_all(rows.database)
        assert ended(rows) == [1, 1, 1, 1]


def test_an_end_that_is_committed_late_is_counted_when_it_is_seen(rows: Rows):
    with completing(rows) as late:
        completed(rows)
        horizon = Horizon()
        assert [horizon.look(rows.database) for _ in range(3)] == [None] * 3
        late.commit()

    until = horizon.look(rows.database)
    assert until is not None
    count(rows.database, until)

    assert ended(rows) == [2, 0, 0, 0]


def test_transactions_that_come_and_go_hold_up_no_counting(rows: Rows):
    horizon = Horizon()
    with completing(rows) as first:
        assert horizon.look(rows.database) is None
        with completing(rows) as second:
            first.commit()
            until = horizon.look(rows.database)
            assert until is not None
            count(rows.database, until)
            # What ended after the first look waits for the next one.
            assert ended(rows) == [1, 0, 0, 0]
            second.commit()
    count_all(rows.database)

    assert ended(rows) == [2, 0, 0, 0]


def test_two_that_count_at_once_count_nothing_twice(rows: Rows):
    for _ in range(20):
        completed(rows)
    until = now(rows)
    threads = [threading.Thread(target=count, args=(rows.database, until)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ended(rows) == [20, 0, 0, 0]


def test_waiting_for_another_daemon_that_counts_puts_off_no_later_counting(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    completed(rows)
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now

    def locked_late(tx: Transaction) -> Any:
        clock.now += 5.0
        return lock_totals(tx)

    monkeypatch.setattr(totals, "time", clock)
    monkeypatch.setattr(totals, "lock_totals", locked_late)
    monkeypatch.setattr(totals, "crash_point", lambda _: setattr(clock, "now", clock.now + 0.5))

    assert count(rows.database, now(rows)) == 0.5
    assert ended(rows) == [1, 0, 0, 0]


def test_what_is_pruned_has_been_counted(rows: Rows):
    for _ in range(3):
        completed(rows)

    assert prune(rows.database, 0).jobs == 3

    assert ended(rows) == [3, 0, 0, 0]
    count_all(rows.database)
    assert ended(rows) == [3, 0, 0, 0]


def test_what_cannot_be_counted_yet_is_not_pruned(rows: Rows, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(totals, "_PATIENCE_S", 0.05)
    with completing(rows) as late:
        completed(rows)
        assert prune(rows.database, 0).jobs == 0
        late.commit()

    assert prune(rows.database, 0).jobs == 2
    assert ended(rows) == [2, 0, 0, 0]


def test_a_failure_is_counted_though_its_job_is_retried_at_once(rows: Rows):
    job = rows.add("started")
    rows.fail(job, 1)
    with rows.database.transaction() as tx:
        reopen(tx, [job])
    rows.sql(COMPLETE.format(job))
    count_all(rows.database)

    assert ended(rows) == [1, 1, 0, 0]


def test_a_failure_that_was_counted_is_not_counted_again_by_a_retry(rows: Rows):
    job = rows.add("started")
    rows.fail(job, 1)
    count_all(rows.database)
    with rows.database.transaction() as tx:
        reopen(tx, [job])
    count_all(rows.database)

    assert ended(rows) == [0, 1, 0, 0]


def test_runs_are_counted_and_so_is_a_run_that_is_reopened_at_once(rows: Rows):
    run = rows.sql(
        "INSERT INTO headrace.run (id, pipeline, version, status, trigger, logical_date, plan,"
        " started_at, finished_at) SELECT gen_random_uuid(), 'sales', '1', 'failed', 'manual',"
        " now(), '{}', clock_timestamp() - interval '2 minutes', clock_timestamp() RETURNING id"
    )[0]["id"]
    job = rows.add("started")
    rows.sql(f"UPDATE headrace.job SET run_id = '{run}', pipeline = 'sales' WHERE id = '{job}'")
    rows.fail(job, 1)
    with rows.database.transaction() as tx:
        reopen(tx, [job])
    count_all(rows.database)

    assert ended(rows, "runs", "sales") == [0, 1, 0, 0]
    assert ended(rows, "jobs", "sales") == [0, 1, 0, 0]
    assert total(rows, "run_duration")["sum"] == pytest.approx(120, abs=5)


def test_durations_and_waits_lie_in_their_buckets(rows: Rows):
    for took_s, waited_s in ((0.2, 3), (7, 3), (7, 40), (100_000, 0.02)):
        job = rows.add("started")
        rows.sql(
            "UPDATE headrace.job SET status = 'completed', finished_at = clock_timestamp(),"
            f" started_at = clock_timestamp() - interval '{took_s} seconds',"
            f" queued_at = clock_timestamp() - interval '{took_s + waited_s} seconds'"
            f" WHERE id = '{job}'"
        )
        count_all(rows.database)

    took, waited = total(rows, "job_duration"), total(rows, "queue_wait")

    assert (took["count"], round(took["sum"])) == (4, 100_014)
    assert len(took["buckets"]) == len(BOUNDS_S) + 1
    in_buckets = dict(zip([*BOUNDS_S, None], took["buckets"], strict=True))
    assert {bound: n for bound, n in in_buckets.items() if n} == {0.5: 1, 10.0: 2, None: 1}
    assert (waited["count"], round(waited["sum"])) == (4, 46)


def test_what_never_started_has_no_duration(rows: Rows):
    rows.database.rows("skip_jobs", ids=[rows.add("waiting")], reason="condition")
    rows.database.rows("cancel_jobs", ids=[rows.add()], run_id=None, keep_finally=False)
    count_all(rows.database)

    assert total(rows, "job_duration")["count"] == total(rows, "queue_wait")["count"] == 0


def test_retries_crashes_and_recoveries_are_told_from_ends(rows: Rows):
    rows.fail(rows.add("started"), 1, retry_in=60)
    rows.fail(rows.add("started"), 1)
    rows.lose(rows.add("started"), 1)
    poison = rows.add("started")
    rows.sql(f"UPDATE headrace.job SET crash_count = 2 WHERE id = '{poison}'")
    rows.lose(poison, 1)
    rows.lose(rows.add("started"), 1, "released")
    for _ in range(2):
        count_all(rows.database)

    counts = {row["name"]: row["count"] for row in rows.database.rows("totals")}
    assert counts["job_retries"] == 1
    assert counts["worker_crashes"] == 2
    assert counts["recoveries"] == 1


def test_what_leaves_no_row_is_counted_where_it_happens(rows: Rows):
    for by in (2, 3):
        rows.database.rows("add_total", name="notices", by=by)
    rows.database.rows(
        "add_observations", name="schedule_lag", values=[0.3, 2.0], bounds=list(BOUNDS_S)
    )

    assert total(rows, "notices")["count"] == 5
    assert (total(rows, "schedule_lag")["count"], total(rows, "schedule_lag")["sum"]) == (2, 2.3)


def test_counting_goes_on_after_the_clock_was_set_back(
    rows: Rows, caplog: pytest.LogCaptureFixture
):
    rows.sql("UPDATE headrace.total_mark SET until = clock_timestamp() + interval '1 hour'")
    completed(rows)
    count_all(rows.database)
    assert "clock was set back" in caplog.text

    completed(rows)
    count_all(rows.database)

    assert ended(rows)[0] >= 1


def test_a_look_at_an_idle_database_reads_a_few_pages_however_long_the_history(rows: Rows):
    rows.sql(
        "INSERT INTO headrace.job (id, job_class, status, queue, timeout_s, retry, finished_at)"
        " SELECT gen_random_uuid(), 'A', 'completed', 'low', 1, '{}', now() - n * interval '1 s'"
        "   FROM generate_series(1, 3000) AS n;"
        "INSERT INTO headrace.run (id, pipeline, version, status, trigger, logical_date, plan,"
        " finished_at) SELECT gen_random_uuid(), 'p', '1', 'completed', 'manual', now(), '{}',"
        " now() - n * interval '1 s' FROM generate_series(1, 3000) AS n;"
        "UPDATE headrace.total_mark SET until = clock_timestamp();"
        "ANALYZE headrace.job, headrace.run, headrace.job_attempt"
    )
    for statement in ("totals_behind", "open_writers", "totals", "declared_pipelines"):
        (told,) = rows.sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {STATEMENTS[statement].sql}")
        (explained,) = told["QUERY PLAN"]
        assert explained["Plan"]["Shared Hit Blocks"] < 40, statement
    assert rows.database.rows("totals_behind")[0]["behind"] is False
