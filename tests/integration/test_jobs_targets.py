"""MirrorTable, SyncTable and `into`, where the target is a table that somebody else has made."""

from typing import Any

import pytest
from sqlalchemy import text

from headrace.errors import JobFailure
from headrace.jobs.data_aggregation import DataAggregation
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.run_sql import RunSql
from headrace.jobs.sync_table import SyncTable
from tests.support.servers import connect

# Everything that DROP and CREATE would have lost; the columns stand in another order.
PRECIOUS = """
    CREATE TABLE target (
        note text DEFAULT 'kept', amount numeric(12,2) CHECK (amount < 1000),
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(10) NOT NULL,
        doubled numeric GENERATED ALWAYS AS (amount * 2) STORED
    );
    CREATE UNIQUE INDEX target_name ON target (name);
    GRANT SELECT ON target TO PUBLIC;
    ALTER TABLE target ENABLE ROW LEVEL SECURITY;
    CREATE POLICY mine ON target USING (true);
    CREATE VIEW looking AS SELECT * FROM target;
    COMMENT ON TABLE target IS 'precious';
    CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER watch BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION count_rows();
    INSERT INTO target (amount, name) VALUES (1, 'old');
"""
SOURCE = """
    CREATE TABLE source (id bigint PRIMARY KEY, name text, amount numeric);
    INSERT INTO source VALUES (5, 'a', 1.5), (7, 'b', 2.01);
"""
WHAT_IT_IS = """
    SELECT c.oid, c.relowner, c.relacl::text, c.relrowsecurity, obj_description(c.oid),
           (SELECT array_agg(polname::text) FROM pg_policy WHERE polrelid = c.oid),
           (SELECT array_agg(tgname::text) FROM pg_trigger WHERE tgrelid = c.oid),
           (SELECT array_agg(indexrelid::regclass::text ORDER BY 1) FROM pg_index
             WHERE indrelid = c.oid),
           (SELECT array_agg(conname::text ORDER BY 1) FROM pg_constraint WHERE conrelid = c.oid),
           (SELECT array_agg((attname, atttypid, atttypmod)::text ORDER BY attnum)
              FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
           to_regclass('looking') IS NOT NULL
      FROM pg_class AS c WHERE c.oid = 'target'::regclass
"""


@pytest.fixture
def precious(execute):
    execute(SOURCE)
    execute(PRECIOUS)


JOBS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mirror": (MirrorTable, {"source_table": "source", "target_table": "target"}),
    "sync": (
        SyncTable,
        {"source_table": "source", "target_table": "target", "key": "id", "delete": True},
    ),
    "into": (RunSql, {"sql": "SELECT name, id, amount FROM source", "into": "target"}),
    "totals": (
        DataAggregation,
        {"table": "source", "group_by": ["id", "name"], "aggregates": {"amount": "sum(amount)"},
         "into": "target"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", JOBS)
def test_a_target_keeps_all_that_it_is(run_job, query, precious, kind):
    before = query(WHAT_IT_IS)
    job, with_ = JOBS[kind]

    for _ in range(2):
        run_job(job, **with_)

    assert query(WHAT_IT_IS) == before
    assert query("SELECT id, name, amount::text, note, doubled::text FROM target ORDER BY id") == [
        (5, "a", "1.50", "kept", "3.00"),
        (7, "b", "2.01", "kept", "4.02"),
    ]


@pytest.mark.parametrize("kind", JOBS)
def test_the_applications_next_insert_does_not_collide(run_job, execute, query, precious, kind):
    job, with_ = JOBS[kind]
    run_job(job, **with_)

    execute("INSERT INTO target (name) VALUES ('next')")

    assert query("SELECT id FROM target WHERE name = 'next'") == [(8,)]


def test_sequences_of_serial_columns_and_defaults_move_and_never_back(run_job, execute, query):
    execute("CREATE TABLE source (a int, b bigint, c int)")
    execute("INSERT INTO source VALUES (10, 20, -30)")
    execute("CREATE SEQUENCE own START 500")
    execute("CREATE SEQUENCE down INCREMENT -1")
    execute(
        "CREATE TABLE target (a serial, b bigint DEFAULT nextval('own'),"
        " c int DEFAULT nextval('down'))"
    )

    run_job(MirrorTable, source_table="source", target_table="target")
    execute("INSERT INTO target DEFAULT VALUES")

    assert query("SELECT a, b, c FROM target ORDER BY a") == [(10, 20, -30), (11, 500, -31)]


@pytest.fixture
def parent(execute):
    execute("CREATE TABLE source (id int, name text)")
    execute("INSERT INTO source VALUES (1, 'b'), (2, 'a'), (4, 'new')")
    execute("CREATE TABLE target (id int PRIMARY KEY, name text UNIQUE)")
    execute("INSERT INTO target VALUES (1, 'x'), (2, 'new'), (3, 'a')")
    execute("CREATE TABLE child (parent int REFERENCES target)")
    execute("INSERT INTO child VALUES (1), (2)")


@pytest.mark.parametrize("kind", ["mirror", "into"])
def test_a_table_that_others_refer_to_is_replaced_by_key(run_job, query, parent, kind):
    if kind == "mirror":
        run_job(MirrorTable, source_table="source", target_table="target")
    else:
        run_job(RunSql, sql="SELECT name, id FROM source", into="target")

    assert query("SELECT * FROM target ORDER BY id") == [(1, "b"), (2, "a"), (4, "new")]
    assert query("SELECT * FROM child ORDER BY 1") == [(1,), (2,)]


def test_a_row_that_is_referred_to_and_missing_fails_the_job(run_job, execute, query, parent):
    execute("DELETE FROM source WHERE id = 1")

    with pytest.raises(Exception, match="violates foreign key constraint"):
        run_job(MirrorTable, source_table="source", target_table="target")

    assert query("SELECT count(*) FROM target") == [(3,)]


def test_children_that_go_with_a_row_are_told(run_job, execute, query, parent, caplog):
    execute("ALTER TABLE child DROP CONSTRAINT child_parent_fkey")
    execute("ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES target ON DELETE CASCADE")
    execute("DELETE FROM source WHERE id = 1")

    run_job(MirrorTable, source_table="source", target_table="target")

    assert query("SELECT * FROM child") == [(2,)]
    assert "Rows of child that referred to deleted rows of target are deleted" in caplog.text


def test_a_tree_can_be_turned_around(run_job, execute, query):
    for name in ("source", "target"):
        execute(f"CREATE TABLE {name} (id int PRIMARY KEY, up int REFERENCES {name})")
    execute("INSERT INTO source VALUES (9, NULL), (2, 9), (1, 2)")
    execute("INSERT INTO target VALUES (1, NULL), (2, 1), (3, 2)")
    with_ = {"source_table": "source", "target_table": "target"}

    assert run_job(SyncTable, **with_, key="id", delete=True)["deleted"] == 1
    run_job(MirrorTable, **with_)

    assert query("SELECT * FROM target ORDER BY id") == [(1, 2), (2, 9), (9, None)]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_readers_go_on_and_see_the_old_rows_while_a_table_is_replaced(
    run_job, execute, query, target, isolation
):
    execute("CREATE TABLE source AS SELECT 2 AS a")
    execute("CREATE TABLE target AS SELECT 1 AS a")
    url = target.url.set(drivername="postgresql").render_as_string(hide_password=False)
    reader = connect(url)
    cursor = reader.cursor()
    cursor.execute(f"BEGIN ISOLATION LEVEL {isolation}")
    cursor.execute("SET lock_timeout = '1s'")
    cursor.execute("SELECT a FROM target")
    assert cursor.fetchall() == [(1,)]

    # It would wait for the reader's lock for ever if it needed to hold it off.
    run_job(MirrorTable, source_table="source", target_table="target")

    cursor.execute("SELECT a FROM target")
    assert cursor.fetchall() == [(1,) if isolation == "REPEATABLE READ" else (2,)]
    reader.close()
    assert query("SELECT a FROM target") == [(2,)]


def test_a_reader_blocks_only_the_strategy_that_truncates(run_job, execute, target):
    execute("CREATE TABLE source AS SELECT 2 AS a")
    execute("CREATE TABLE target AS SELECT 1 AS a")
    with target.begin() as reader:
        reader.execute(text("SELECT a FROM target"))
        execute("ALTER DATABASE " + str(target.url.database) + " SET lock_timeout = '200ms'")
        with_ = {"source_table": "source", "target_table": "target"}
        with pytest.raises(Exception, match="lock timeout"):
            run_job(MirrorTable, **with_, replace_strategy="truncate_and_insert")
    run_job(MirrorTable, **with_, replace_strategy="truncate_and_insert")


def test_a_trigger_that_keeps_rows_away_fails_the_copy(run_job, execute, query, precious):
    execute("CREATE OR REPLACE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'")  # fmt: skip

    with pytest.raises(JobFailure, match="target took 0 of 2 rows"):
        run_job(MirrorTable, source_table="source", target_table="target")

    assert query("SELECT name FROM target") == [("old",)]


def test_an_identity_that_is_not_the_key_is_not_renumbered(run_job, execute, query):
    execute("CREATE TABLE source (code text, id int, name text)")
    execute("INSERT INTO source VALUES ('a', 1, 'x')")
    execute(
        "CREATE TABLE target (id int GENERATED ALWAYS AS IDENTITY, code text UNIQUE, name text)"
    )
    execute("INSERT INTO target (code, name) VALUES ('a', 'old')")
    with_ = {"source_table": "source", "target_table": "target", "key": "code"}

    run_job(SyncTable, **with_)
    assert query("SELECT * FROM target") == [(1, "a", "x")]

    execute("UPDATE source SET id = 7")
    with pytest.raises(JobFailure, match="GENERATED ALWAYS AS IDENTITY and cannot be updated"):
        run_job(SyncTable, **with_)


def test_a_key_that_no_index_can_hold_is_looked_through_for_doubles(run_job, execute, query):
    long = "(SELECT string_agg(md5(n::text), '') FROM generate_series({}, {} + 299) AS n)"
    execute("CREATE TABLE source (k text, v int); CREATE TABLE target (k text, v int)")
    execute(f"INSERT INTO source VALUES ({long.format(1, 1)}, 1), ({long.format(2, 2)}, 2)")
    with_ = {"source_table": "source", "target_table": "target", "key": "k"}

    run_job(SyncTable, **with_)
    execute("UPDATE source SET v = v + 1")
    run_job(SyncTable, **with_)
    assert query("SELECT v, length(k) FROM target ORDER BY v") == [(2, 9600), (3, 9600)]

    execute("INSERT INTO source SELECT * FROM source WHERE v = 2")
    with pytest.raises(JobFailure, match=r"^source: the key k=c4ca4238a0b9\w+ .* occurs 2 times$"):
        run_job(SyncTable, **with_)
