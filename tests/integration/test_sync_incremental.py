"""SyncTable with a cursor: what is read, and that nothing is lost that was committed late."""

import random
from typing import Any

import pytest
from sqlalchemy import text

from headrace.errors import JobFailure
from headrace.jobs.sync_table import SyncTable
from tests.integration.test_jobs_between_servers import rows, run

# Whole jobs; test_late_rows.py has a hundred interleavings of what they read.
EPISODES, WRITERS = 4, 5
WITH: dict[str, Any] = {
    "source_table": "event",
    "target_table": "target",
    "key": "id",
    "source_connection": "there",
    "incremental": {"cursor": "at"},
}
COUNT = "SELECT count(*) FROM target"


@pytest.fixture
def there(run_job, second):
    run_job.engines["there"] = second
    run(second, "CREATE TABLE event (id int PRIMARY KEY, at timestamptz, v text)")
    run(second, "INSERT INTO event SELECT i, '2026-01-01'::timestamptz + i * interval '1 min', 'a'"
        " FROM generate_series(1, 10) AS i")  # fmt: skip
    return second


def insert(there, number: int, minute: int) -> None:
    run(there, f"INSERT INTO event VALUES ({number}, '2026-01-01'::timestamptz"
        f" + {minute} * interval '1 min', 'b')")  # fmt: skip


def numbers(result) -> tuple[int, int]:
    return result["inserted"], result["updated"]


@pytest.mark.parametrize("lag", [{}, {"lag": "1h"}], ids=["late rows", "lag"])
def test_after_a_run_that_has_found_no_value_all_values_are_new(run_job, there, query, lag):
    run(there, "TRUNCATE event", "INSERT INTO event VALUES (1, NULL, 'without a time')")
    with_ = {**WITH, "incremental": {"cursor": "at", "on_null": "include", **lag}}
    assert numbers(run_job(SyncTable, **with_)) == (1, 0)
    insert(there, 2, 5)

    assert numbers(run_job(SyncTable, **with_)) == (1, 0)
    assert query("SELECT id FROM target ORDER BY id") == [(1,), (2,)]
    assert numbers(run_job(SyncTable, **with_)) == (0, 0)


def test_rows_that_are_committed_late_with_older_values_are_never_lost(run_job, there, query):
    dice = random.Random(2026)
    number = 100
    run_job(SyncTable, **WITH)
    for _ in range(EPISODES):
        writers = [there.connect() for _ in range(WRITERS)]
        steps = ["sync", *(w for w in writers for _ in range(2))]
        dice.shuffle(steps)
        written = set()
        for step in steps:
            if step == "sync":
                run_job(SyncTable, **WITH)
            elif step in written:
                step.commit() if dice.random() < 0.9 else step.rollback()
                step.close()
            else:
                written.add(step)
                number += 1
                # A later number has an older or a younger value, in a subtransaction or not.
                inner = step.begin_nested() if dice.random() < 0.5 else None
                at = f"'2026-01-01'::timestamptz + {dice.randrange(100_000)} * interval '1 min'"
                step.execute(text(f"INSERT INTO event VALUES ({number}, {at}, 'c')"))
                if inner is not None:
                    inner.commit()
    run_job(SyncTable, **WITH)

    everything = "SELECT id, at::text, v FROM {} ORDER BY id"
    assert rows(run_job.engines[None], everything.format("target")) == rows(
        there, everything.format("event")
    )


def test_only_what_is_new_is_read_and_the_watermark_commits_with_the_rows(
    run_job, there, query, caplog
):
    caplog.set_level("INFO")
    assert numbers(run_job(SyncTable, **WITH)) == (10, 0)
    insert(there, 11, 11)
    insert(there, 12, 11)
    run(there, "UPDATE event SET v = 'late', at = at WHERE id = 1")

    assert numbers(run_job(SyncTable, **WITH, expect={"rows": 4})) == (2, 1)
    # Ties of the greatest value are read once more; nothing changes.
    assert numbers(run_job(SyncTable, **WITH, expect={"rows": 2})) == (0, 0)
    kept = query("SELECT value FROM headrace.watermark")

    insert(there, 13, 13)
    run(there, "INSERT INTO event VALUES (14, '2026-01-01 00:14', NULL)")
    run(run_job.engines[None], "ALTER TABLE target ADD CHECK (v IS NOT NULL)")
    with pytest.raises(Exception, match="violates check constraint"):
        run_job(SyncTable, **WITH)
    assert query("SELECT value FROM headrace.watermark") == kept
    assert query(COUNT) == [(12,)]
    assert "what has been committed late" in caplog.text


def test_a_lag_reads_a_window_and_says_so(run_job, there, query, caplog):
    caplog.set_level("INFO")
    lagging = WITH | {"incremental": {"cursor": "at", "lag": "3m"}}
    run_job(SyncTable, **lagging)
    insert(there, 20, 8)
    insert(there, 21, 2)  # Older than the window: what a lag cannot see.

    assert numbers(run_job(SyncTable, **lagging)) == (1, 0)
    assert "less 3m on" in caplog.text
    assert numbers(run_job(SyncTable, **WITH)) == (0, 0)

    by_number = WITH | {"incremental": {"cursor": "id", "lag": 5}, "target_table": "other"}
    run_job(SyncTable, **by_number)
    assert numbers(run_job(SyncTable, **by_number, expect={"rows": 2})) == (0, 0)
    wrong = WITH | {"incremental": {"cursor": "id", "lag": "5m"}, "target_table": "third"}
    run_job(SyncTable, **wrong)
    with pytest.raises(JobFailure, match="cannot be taken from id"):
        run_job(SyncTable, **wrong)


@pytest.mark.parametrize(("on_null", "first"), [("include", 8), ("exclude", 6), ("fail", None)])
def test_where_to_begin_and_rows_without_a_value_are_as_asked_for(
    run_job, there, query, on_null, first
):
    run(there, "INSERT INTO event VALUES (30, NULL, 'n'), (31, NULL, 'n')")
    cursor = {"cursor": "at", "initial_value": "2026-01-01 00:05+05:30", "on_null": on_null}
    if first is None:
        with pytest.raises(JobFailure, match="has rows whose at is NULL"):
            run_job(SyncTable, **WITH | {"incremental": cursor})
        # Those that are not asked for may be without one.
        run_job(SyncTable, **WITH | {"incremental": cursor, "where": "v <> 'n'"})
        assert query(COUNT) == [(6,)]
        return

    run_job(SyncTable, **WITH | {"incremental": cursor})
    assert query(COUNT) == [(first,)]
    run(there, "UPDATE event SET v = 'x' WHERE at IS NULL OR id < 3")
    changed = run_job(SyncTable, **WITH | {"incremental": cursor})

    assert numbers(changed) == (0, 2 if on_null == "include" else 0)


def test_another_server_or_an_emptied_target_is_read_whole_and_that_is_told(
    run_job, there, query, caplog
):
    run_job(SyncTable, **WITH)
    run(run_job.engines[None], "UPDATE headrace.watermark SET place = '1/2/3'")
    assert numbers(run_job(SyncTable, **WITH, expect={"rows": 10})) == (0, 0)
    assert "event is read whole: it is another server" in caplog.text

    run(run_job.engines[None], "TRUNCATE target")
    assert numbers(run_job(SyncTable, **WITH)) == (10, 0)
    assert "target has no rows any more" in caplog.text


def test_a_view_needs_a_lag(run_job, there, query):
    run(there, "CREATE VIEW seen AS SELECT * FROM event")
    of_view = WITH | {"source_table": "seen"}
    with pytest.raises(JobFailure, match="Give incremental a `lag`"):
        run_job(SyncTable, **of_view)

    run_job(SyncTable, **of_view | {"incremental": {"cursor": "at", "lag": "1h"}})
    assert query(COUNT) == [(10,)]


def test_a_partitioned_source_is_read_by_its_rows_transactions(run_job, there, query):
    run(there, "CREATE TABLE parted (id int, at timestamptz, v text) PARTITION BY LIST (v)",
        "CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a')",
        "CREATE TABLE parted_b PARTITION OF parted DEFAULT",
        "INSERT INTO parted SELECT * FROM event")  # fmt: skip
    parted = WITH | {"source_table": "parted"}
    run_job(SyncTable, **parted)
    run(there, "INSERT INTO parted VALUES (50, '2020-01-01', 'b')")

    assert numbers(run_job(SyncTable, **parted)) == (1, 0)


def test_another_cursor_and_numbers_that_went_back_are_read_whole(run_job, there, query, caplog):
    """So do a server that was dumped and restored, and one that has not been read for long."""
    run_job(SyncTable, **WITH)
    by_id = WITH | {"incremental": {"cursor": "id"}}
    assert numbers(run_job(SyncTable, **by_id, expect={"rows": 10})) == (0, 0)
    assert "event is read whole: the cursor was at before" in caplog.text

    kept = "UPDATE headrace.watermark SET oldest_transaction = oldest_transaction"
    for change in ("+ 1000000", "- 3000000000"):
        run_job(SyncTable, **by_id)
        caplog.clear()
        run(run_job.engines[None], f"{kept} {change}")
        assert numbers(run_job(SyncTable, **by_id, expect={"rows": 10})) == (0, 0)
        assert (
            "event is read whole: too many transactions have passed to tell them apart, or their"
            " numbers went back"
        ) in [one.getMessage() for one in caplog.records]


def test_rows_without_a_value_are_left_out_from_the_beginning(run_job, there, query):
    run(there, "INSERT INTO event VALUES (30, NULL, 'n')")
    without = {"cursor": "at", "on_null": "exclude"}

    assert numbers(run_job(SyncTable, **WITH | {"incremental": without})) == (10, 0)
    run(there, "UPDATE event SET v = 'x'")

    assert numbers(run_job(SyncTable, **WITH | {"incremental": without})) == (0, 10)
    assert query("SELECT count(*) FROM target WHERE at IS NULL") == [(0,)]


@pytest.mark.parametrize("source", [{}, {"source_sql": "SELECT * FROM event"}])
def test_each_where_goes_on_from_its_own_rows(run_job, there, query, source):
    """Several steps may each read a part of one source into one table."""
    kind = {"cursor": "at", "lag": "0s"} if source else {"cursor": "at"}
    with_ = {**WITH, **({"source_table": None} if source else {}), **source, "incremental": kind}
    late, early = ({**with_, "where": one} for one in ("id > 8", "id <= 8"))

    assert [numbers(run_job(SyncTable, **one)) for one in (late, early)] == [(2, 0), (8, 0)]

    insert(there, 0, 9)
    insert(there, 11, 11)
    assert [numbers(run_job(SyncTable, **one)) for one in (early, late)] == [(1, 0), (1, 0)]
