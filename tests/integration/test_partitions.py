"""Partitions are created before they are needed, and leave when their time is over."""

import pytest
from sqlalchemy import text

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.create_partitions import CreatePartitions
from headrace.jobs.detach_partitions import DetachPartitions

# The tests' runs are of 2026-01-31 12:30 UTC.
BOUNDS = (
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i"
    " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 's.event'::regclass ORDER BY 1"
)


def make(execute, type_: str, rest: bool = False) -> None:
    execute(
        f"CREATE SCHEMA s; CREATE TABLE s.event (at {type_} NOT NULL, n int GENERATED ALWAYS AS"
        " (1) STORED, note text DEFAULT 'x') PARTITION BY RANGE (at);"
        "CREATE INDEX ON s.event (note)"
    )
    if rest:
        execute("CREATE TABLE s.event_default PARTITION OF s.event DEFAULT")


def test_the_present_month_and_the_next_ones_are_created_once(run_job, query, execute):
    make(execute, "timestamptz")

    created = run_job(CreatePartitions, table="s.event", interval="month", premake=2)

    names = [f"s.event_p2026{month}01" for month in ("01", "02", "03")]
    assert created == {"created": names}
    assert query(BOUNDS)[1] == (
        "event_p20260201",
        "FOR VALUES FROM ('2026-02-01 00:00:00+00') TO ('2026-03-01 00:00:00+00')",
    )
    execute("INSERT INTO s.event VALUES ('2026-03-31 23:59:59.999+00')")
    assert query("SELECT count(*) FROM pg_indexes WHERE tablename = 'event_p20260301'") == [(1,)]
    again = run_job(CreatePartitions, table="s.event", interval="month", premake=3)
    assert again == {"created": ["s.event_p20260401"]}


def test_no_range_is_left_out_where_the_job_has_not_run_for_long(run_job, query, execute):
    make(execute, "date")
    execute("CREATE TABLE s.old PARTITION OF s.event FOR VALUES FROM (MINVALUE) TO ('2025-11-01')")

    created = run_job(CreatePartitions, table="s.event", interval="month", premake=0)

    assert created["created"] == [f"s.event_p{m}01" for m in ("202511", "202512", "202601")]


@pytest.mark.parametrize(
    ("interval", "first", "last"),
    [
        ("hour", "20260131_120000", "20260131_140000"),
        ("day", "20260131", "20260202"),
        ("week", "20260126", "20260209"),
        ("quarter", "20260101", "20260701"),
        ("year", "20260101", "20280101"),
    ],
)
def test_each_interval_is_one_of_the_calendar(run_job, execute, interval, first, last):
    make(execute, "timestamp")
    created = run_job(CreatePartitions, table="s.event", interval=interval, premake=2)["created"]
    assert (created[0], created[-1]) == (f"s.event_p{first}", f"s.event_p{last}")


def test_days_are_those_of_the_sessions_zone_also_where_a_clock_is_changed(
    run_job, query, execute, target
):
    make(execute, "timestamptz")
    name = query("SELECT current_database()")[0][0]
    execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Europe/Berlin'")
    target.dispose()

    run_job(CreatePartitions, table="s.event", interval="day", premake=0, start="2025-03-29")

    with target.connect() as connection:
        seen = connection.execute(text(BOUNDS)).all()
    assert seen[1][1] == "FOR VALUES FROM ('2025-03-30 00:00:00+01') TO ('2025-03-31 00:00:00+02')"
    assert len(seen) == 309


def test_numbers_are_counted_from_the_greatest_one(run_job, query, execute):
    make(execute, "bigint")
    assert run_job(CreatePartitions, table="s.event", interval=1000, premake=1)["created"] == [
        "s.event_p0", "s.event_p1000"]  # fmt: skip
    execute("INSERT INTO s.event SELECT generate_series(0, 1999, 100)")

    created = run_job(CreatePartitions, table="s.event", interval=1000, premake=2)

    assert created["created"] == ["s.event_p2000", "s.event_p3000"]


def test_rows_of_the_default_partition_are_told_and_moved_if_the_step_says_so(
    run_job, query, execute, caplog
):
    make(execute, "date", rest=True)
    execute("INSERT INTO s.event VALUES ('2026-01-05'), ('2026-01-06'), ('1999-01-01')")
    with pytest.raises(JobFailure, match=r"event_default.*has 2 rows from 2026-01-01"):
        run_job(CreatePartitions, table="s.event", interval="month", premake=1)
    assert len(query(BOUNDS)) == 1, "all or none"

    made = run_job(CreatePartitions, table="s.event", interval="month", move_default_rows=True)

    assert made["default_rows"] == 1
    assert "s.event_default, the default partition, has 1 row" in caplog.text
    moved = "SELECT at::text, n, note FROM s.event_p20260101 ORDER BY 1"
    assert query(moved) == [("2026-01-05", 1, "x"), ("2026-01-06", 1, "x")]


def test_ranges_that_overlap_others_are_refused(run_job, execute):
    make(execute, "date")
    execute(
        "CREATE TABLE s.odd PARTITION OF s.event FOR VALUES FROM ('2026-02-10') TO ('2026-03-01')"
    )
    with pytest.raises(JobFailure, match=r"overlap s\.odd \(from 2026-02-10"):
        run_job(CreatePartitions, table="s.event", interval="month", start="2026-01-01")


def test_only_partitions_that_are_old_as_a_whole_are_detached(run_job, query, execute):
    make(execute, "timestamptz", rest=True)
    run_job(CreatePartitions, table="s.event", interval="month", premake=0, start="2025-09-15")
    execute("INSERT INTO s.event VALUES ('2025-09-20'), ('2025-10-20'), ('2026-01-01')")

    done = run_job(DetachPartitions, table="s.event", retention="3 months", retention_schema="arc")

    # The end of October is three months before the run: from 12:30 on it is old.
    assert done == {"detached": ["s.event_p20250901"], "kept": 4, "default_rows": 0}
    assert query("SELECT count(*) FROM arc.event_p20250901") == [(1,)]
    assert query("SELECT count(*) FROM s.event") == [(2,)]
    gone = run_job(
        DetachPartitions, table="s.event", retention="30d", retention_keep_table=False, limit=1
    )
    assert gone["detached"] == ["s.event_p20251001"]
    assert query("SELECT to_regclass('s.event_p20251001')") == [(None,)]
    assert run_job(DetachPartitions, table="s.event", retention="9 years")["detached"] == []


def test_numbers_are_kept_back_from_the_greatest_one(run_job, execute):
    make(execute, "int")
    run_job(CreatePartitions, table="s.event", interval=10, premake=0, start=0)
    assert run_job(DetachPartitions, table="s.event", retention=5)["detached"] == []
    execute("INSERT INTO s.event VALUES (5)")
    run_job(CreatePartitions, table="s.event", interval=10, premake=2)
    execute("INSERT INTO s.event VALUES (25)")
    assert run_job(DetachPartitions, table="s.event", retention=15)["detached"] == ["s.event_p0"]


def test_what_is_not_partitioned_so_is_refused(run_job, execute):
    execute(
        "CREATE TABLE plain (n int); CREATE TABLE listed (n int) PARTITION BY LIST (n);"
        "CREATE TABLE dated (d date) PARTITION BY RANGE (d)"
    )
    for table, told in (
        ("missing", "there is no table missing"),
        ("plain", "plain is not partitioned"),
        ("listed", "not partitioned by range of one column"),
    ):
        with pytest.raises(JobFailure, match=told):
            run_job(CreatePartitions, table=table, interval=10)
        with pytest.raises(JobFailure, match=told):
            run_job(DetachPartitions, table=table, retention=10)
    with pytest.raises(JobFailure, match="so interval is day"):
        run_job(CreatePartitions, table="dated", interval="hour")
    with pytest.raises(JobFailure, match="so retention is an age"):
        run_job(DetachPartitions, table="dated", retention=10)
    with pytest.raises(InvalidPayload, match="as in 90d"):
        DetachPartitions(table="dated", retention="soon")
