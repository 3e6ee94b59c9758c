"""Archiving loses nothing: neither rows, nor what refers to them, nor a digit."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.archive_rows import ArchiveRows
from tests.support.attempts import JobRunner
from tests.support.processes import wait_until

OLD = {"column": "at", "before": "2026-01-01"}


def test_a_limit_on_a_partitioned_table_moves_only_old_rows(run_job, execute, query):
    execute("CREATE TABLE t (id int, at date) PARTITION BY RANGE (at)")
    execute("CREATE TABLE t_old PARTITION OF t FOR VALUES FROM ('2020-01-01') TO ('2026-01-01')")
    execute("CREATE TABLE t_new PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2030-01-01')")
    execute("INSERT INTO t SELECT n, date '2025-01-01' + n FROM generate_series(1, 10) n")
    execute("INSERT INTO t SELECT 100 + n, date '2026-02-01' + n FROM generate_series(1, 10) n")

    result = run_job(ArchiveRows, table="t", into="old", limit=4, **OLD)

    assert result["row_count"] == 4
    assert query("SELECT array_agg(id ORDER BY id) FROM old") == [([1, 2, 3, 4],)]
    assert query("SELECT count(*) FROM t WHERE id > 100") == [(10,)]
    assert query("SELECT count(*) FROM t") == [(16,)]


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
def test_rows_that_others_refer_to_are_not_taken_from_under_them(run_job, execute, query, action):
    execute("CREATE TABLE orders (id int PRIMARY KEY, at date)")
    execute(f"CREATE TABLE lines (order_id int REFERENCES orders ON DELETE {action}, n int)")
    execute("INSERT INTO orders VALUES (1, '2025-01-01'), (2, '2025-01-01'), (3, '2026-02-01')")
    execute("INSERT INTO lines VALUES (1, 10), (1, 11), (3, 12)")

    with pytest.raises(
        JobFailure,
        match=rf"2 of lines \(ON DELETE {action}\).*name them in `children`",
    ):
        run_job(ArchiveRows, table="orders", into="old_orders", **OLD)

    assert query("SELECT count(*) FROM orders") == [(3,)]
    execute("DELETE FROM lines WHERE order_id = 1")
    assert run_job(ArchiveRows, table="orders", into="old_orders", **OLD)["row_count"] == 2
    assert query("SELECT n FROM lines") == [(12,)]


def test_children_of_a_partitioned_table_are_seen_too(run_job, execute, query):
    execute("CREATE TABLE orders (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)")
    execute("CREATE TABLE orders_1 PARTITION OF orders DEFAULT")
    execute(
        'CREATE TABLE "Lines" (id int, at date, FOREIGN KEY (id, at) REFERENCES orders'
        " ON DELETE CASCADE)"
    )
    execute("INSERT INTO orders VALUES (1, '2025-01-01')")
    execute("INSERT INTO \"Lines\" VALUES (1, '2025-01-01')")

    with pytest.raises(JobFailure, match='1 of "Lines"'):
        run_job(ArchiveRows, table="orders", into="old_orders", **OLD)

    assert query('SELECT count(*) FROM "Lines"') == [(1,)]


def test_a_tree_in_one_table_moves_when_all_of_it_is_old(run_job, execute, query):
    execute("CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t ON DELETE CASCADE, at date)")
    execute("INSERT INTO t VALUES (1, NULL, '2025-01-01'), (2, 1, '2025-02-01')")

    assert run_job(ArchiveRows, table="t", into="old", **OLD)["row_count"] == 2

    execute("INSERT INTO t VALUES (3, NULL, '2025-01-01'), (4, 3, '2026-02-01')")
    with pytest.raises(JobFailure, match="1 of t"):
        run_job(ArchiveRows, table="t", into="old", **OLD)
    assert query("SELECT count(*) FROM t") == [(2,)]


def test_generated_columns_are_archived_with_their_values(run_job, execute, query):
    execute(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, n int,"
        " twice int NOT NULL GENERATED ALWAYS AS (n * 2) STORED, at date)"
    )
    execute("INSERT INTO t (n, at) VALUES (4, '2025-01-01')")

    run_job(ArchiveRows, table="t", into="old", **OLD)

    assert query("SELECT id, n, twice FROM old") == [(1, 4, 8)]


def test_an_archive_that_generates_its_columns_goes_on_doing_so(run_job, execute, query):
    execute("CREATE TABLE t (n int, twice int, at date)")
    execute("INSERT INTO t VALUES (4, 7, '2025-01-01')")
    execute(
        "CREATE TABLE old (own int DEFAULT 5, n int, at date,"
        " twice int GENERATED ALWAYS AS (n * 2) STORED)"
    )

    run_job(ArchiveRows, table="t", into="old", **OLD)

    assert query("SELECT own, n, twice FROM old") == [(5, 4, 8)]


def test_a_date_that_is_a_text_is_not_compared_letter_by_letter(run_job, execute, query):
    execute("CREATE TABLE t (at text)")
    execute("INSERT INTO t VALUES ('03.02.2027')")

    with pytest.raises(JobFailure, match=r"t\.at is text.*name a column of type date"):
        run_job(ArchiveRows, table="t", into="old", **OLD)

    assert query("SELECT count(*) FROM t") == [(1,)]


@pytest.mark.parametrize("into", ["public.t", "t_old"])
def test_a_table_is_not_archived_into_itself(run_job, execute, query, into):
    execute("CREATE TABLE t (at date) PARTITION BY RANGE (at)")
    execute("CREATE TABLE t_old PARTITION OF t DEFAULT")
    execute("INSERT INTO t VALUES ('2025-01-01')")

    with pytest.raises(JobFailure, match="itself, or a part of it"):
        run_job(ArchiveRows, table="t", into=into, **OLD)

    assert query("SELECT count(*) FROM t") == [(1,)]


def test_the_same_name_twice_is_refused_by_the_constructor():
    with pytest.raises(InvalidPayload, match="into is the table itself"):
        ArchiveRows(table="t", into="t", column="at", before="2026-01-01")


def test_an_archive_that_lacks_a_column_keeps_the_rows_where_they_are(run_job, execute, query):
    execute("CREATE TABLE t (id int, note text, at date)")
    execute("INSERT INTO t VALUES (1, 'n', '2025-01-01')")
    execute("CREATE TABLE old (id int, at date)")

    with pytest.raises(JobFailure, match="old lacks columns of t: note; ALTER TABLE old ADD"):
        run_job(ArchiveRows, table="t", into="old", **OLD)

    assert query("SELECT count(*) FROM t") == [(1,)]


def test_an_archive_that_would_round_is_refused(run_job, execute, query):
    execute("CREATE TABLE t (amount numeric(12, 4), at date)")
    execute("INSERT INTO t VALUES (1.2345, '2025-01-01')")
    execute("CREATE TABLE old (amount numeric(12, 2), at date)")

    with pytest.raises(JobFailure, match=r"old.amount is numeric\(12,2\).*values could change"):
        run_job(ArchiveRows, table="t", into="old", **OLD)

    execute("ALTER TABLE old ALTER COLUMN amount TYPE numeric")
    run_job(ArchiveRows, table="t", into="old", **OLD)
    assert query("SELECT amount::text FROM old") == [("1.2345",)]


def test_rows_that_a_trigger_keeps_out_of_the_archive_stay(run_job, execute, query):
    execute("CREATE TABLE t (id int, at date)")
    execute("INSERT INTO t VALUES (1, '2025-01-01'), (2, '2025-01-01')")
    execute("CREATE TABLE old (id int, at date)")
    execute(
        "CREATE FUNCTION odd_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.id % 2 = 1 THEN RETURN NEW; END IF; RETURN NULL; END $$"
    )
    execute("CREATE TRIGGER keep BEFORE INSERT ON old FOR EACH ROW EXECUTE FUNCTION odd_only()")

    with pytest.raises(JobFailure, match="of 2 old rows of t, 2 could be deleted and 1 stored"):
        run_job(ArchiveRows, table="t", into="old", **OLD)

    assert query("SELECT count(*) FROM t") == [(2,)]


def test_tables_that_inherit_keep_their_own_columns(run_job, execute, query):
    execute("CREATE TABLE t (id int, at date)")
    execute("CREATE TABLE special (extra text) INHERITS (t)")
    execute("INSERT INTO special VALUES (1, '2025-01-01', 'only copy')")

    with pytest.raises(JobFailure, match="the tables special inherit from t"):
        run_job(ArchiveRows, table="t", into="old", **OLD)

    assert query("SELECT extra FROM special") == [("only copy",)]


def test_an_instant_with_an_offset_is_that_instant_in_a_column_without_one(run_job, execute, query):
    execute("CREATE TABLE t (id int, at timestamp)")
    execute("INSERT INTO t VALUES (1, '2025-12-31 22:30'), (2, '2025-12-31 23:30')")

    run_job(ArchiveRows, table="t", into="old", column="at", before="2026-01-01T00:00:00+01:00")

    assert query("SELECT id FROM old") == [(1,)]


def test_two_archives_with_a_limit_share_the_work(run_job, execute, query, target):
    execute("CREATE TABLE t (id int, at date)")
    execute("INSERT INTO t SELECT n, date '2025-01-01' + n FROM generate_series(1, 6) n")
    execute("CREATE TABLE old (LIKE t)")
    with target.connect() as holder:
        holder.exec_driver_sql("SELECT pg_advisory_lock(hashtextextended('headrace:old', 0))")
        with ThreadPoolExecutor(2) as pool:
            both = [
                pool.submit(JobRunner({None: target}), ArchiveRows, table="t", into="old", limit=2,
                            **OLD)
                for _ in range(2)
            ]  # fmt: skip
            holder.exec_driver_sql("SELECT pg_advisory_unlock_all()")
            counts = [one.result(30)["row_count"] for one in both]

    assert counts == [2, 2]
    assert query("SELECT count(*) FROM old") == [(4,)]


SIX = (
    "CREATE TABLE t (id int, at date); CREATE TABLE old (LIKE t);"
    "INSERT INTO t SELECT n, date '2025-01-01' + n FROM generate_series(1, 6) n"
)
BLOCKED = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def test_an_archive_waits_for_rows_that_another_one_is_moving_and_takes_the_next(
    run_job, execute, query, target
):
    execute(SIX)
    with ThreadPoolExecutor(1) as pool:
        with target.begin() as other:
            other.exec_driver_sql("DELETE FROM t WHERE id <= 2")
            job = pool.submit(run_job, ArchiveRows, table="t", into="old", limit=2, **OLD)
            wait_until(lambda: query(BLOCKED))
        assert job.result(30)["row_count"] == 2

    assert query("SELECT id FROM old ORDER BY id") == [(3,), (4,)]
    assert query("SELECT id FROM t ORDER BY id") == [(5,), (6,)]


def test_with_lock_wait_an_archive_leaves_rows_that_others_hold(
    run_job, execute, query, target, caplog
):
    execute(SIX)
    with target.begin() as other:
        other.exec_driver_sql("SELECT FROM t WHERE id <= 2 FOR UPDATE")
        done = run_job(ArchiveRows, table="t", into="old", limit=2, lock_wait="0.01s", **OLD)

    assert done["row_count"] == 2
    assert query("SELECT id FROM old ORDER BY id") == [(3,), (4,)]
    assert "Others hold old rows of t: those are left" in caplog.text


LINES = (
    "CREATE TABLE orders (id int PRIMARY KEY, at date);"
    " CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE);"
    " CREATE TABLE notes (line int REFERENCES lines ON DELETE CASCADE, n text);"
    " INSERT INTO orders VALUES (1, '2025-01-01'), (2, '2026-02-01');"
    " INSERT INTO lines VALUES (10, 1), (11, 1), (20, 2);"
    " INSERT INTO notes VALUES (10, 'a'), (20, 'b')"
)


def test_children_and_grandchildren_are_taken_along(run_job, execute, query):
    execute(LINES)
    children = {"lines": {"key": "order_id", "children": {"notes": "line"}}}

    result = run_job(ArchiveRows, table="orders", into="old.orders", children=children, **OLD)

    assert result["children"] == {"lines": 2, "notes": 1}
    assert query("SELECT id FROM old.lines ORDER BY 1") == [(10,), (11,)]
    assert query("SELECT n FROM old.notes") == [("a",)]
    assert query("SELECT orders.id, lines.id, n FROM orders, lines, notes") == [(2, 20, "b")]


def test_a_grandchild_that_is_not_named_is_refused(run_job, execute, query):
    execute(LINES)

    with pytest.raises(JobFailure, match=r"1 of notes \(ON DELETE CASCADE\); name them in"):
        run_job(
            ArchiveRows, table="orders", into="old.orders", children={"lines": "order_id"}, **OLD
        )

    assert query("SELECT count(*) FROM lines") == [(3,)]


def test_rows_that_are_kept_are_copied_once(run_job, execute, query):
    execute("CREATE TABLE t (id int PRIMARY KEY, at date)")
    execute("INSERT INTO t VALUES (1, '2025-01-01'), (2, '2025-01-02')")
    with_ = {"table": "t", "into": "old", "keep_rows": True, "batch_size": 1, **OLD}

    assert run_job(ArchiveRows, **with_)["row_count"] == 2
    assert run_job(ArchiveRows, **with_)["row_count"] == 0

    assert query("SELECT count(*) FROM old") == [(2,)]
    assert query("SELECT count(*) FROM t") == [(2,)]


def test_a_checksum_finds_an_archive_that_changes_values(run_job, execute, query):
    execute("CREATE TABLE t (id int, at date); CREATE TABLE old (LIKE t)")
    execute("INSERT INTO t VALUES (1, '2025-01-01')")
    execute(
        "CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.id = 7; RETURN NEW; END';"
        " CREATE TRIGGER changed BEFORE INSERT ON old FOR EACH ROW EXECUTE FUNCTION changed()"
    )

    with pytest.raises(JobFailure, match="checksum of the rows in old"):
        run_job(ArchiveRows, table="t", into="old", verify="checksum", **OLD)

    assert query("SELECT id FROM t") == [(1,)]


def test_a_condition_and_an_order_choose_the_rows(run_job, execute, query):
    execute("CREATE TABLE t (id int, at date)")
    execute("INSERT INTO t SELECT n, date '2025-01-01' + n FROM generate_series(1, 6) n")

    result = run_job(
        ArchiveRows, table="t", into="old", where="id <> 6", order="desc", batch_size=2,
        batch_limit=1, vacuum=True, **OLD,
    )  # fmt: skip

    assert (result["row_count"], result["batches"]) == (2, 1)
    assert query("SELECT array_agg(id ORDER BY id) FROM old") == [([4, 5],)]


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({"limit": 1, "batch_size": 1}, "use batch_limit"),
        ({"wait": "1s"}, "need batch_size"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 1, "checks": [{"row_count": None}]}, "a step of its own"),
        ({"children": {"lines": 5}}, "lines takes the column"),
        ({"lock_wait": "soon"}, "is not a duration"),
        ({"target_connection": "x", "children": {"lines": "a"}}, "within one database"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(run_job, with_, told):
    with pytest.raises(InvalidPayload, match=told):
        run_job(ArchiveRows, table="t", into="old", **with_, **OLD)
