"""What happens where the rows and the table that they are for differ: `on_schema_change`."""

from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.run_sql import RunSql
from headrace.jobs.sync_table import SyncTable
from tests.integration.test_jobs_targets import JOBS, SOURCE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP COLUMN amount CASCADE", r"has no column amount \(numeric\).*append_new_columns"),
        (
            "ALTER COLUMN amount TYPE date USING NULL",
            "amount is date, which cannot take numeric.*sync_all_columns.*recreate",
        ),
        ("ADD must int NOT NULL", "must is NOT NULL without a default.*recreate"),
    ],
)
def test_what_cannot_be_stored_fails_with_the_difference_and_the_remedy(
    run_job, execute, query, change, told
):
    execute(SOURCE)
    execute("CREATE TABLE target (id bigint, name text, amount numeric)")
    execute(f"ALTER TABLE target {change}")

    for job, with_ in JOBS.values():
        offered = told.partition("recreate")[0] if job is SyncTable else told
        with pytest.raises(JobFailure, match=rf"target does not fit the rows: .*{offered}"):
            run_job(job, **with_)

    assert query("SELECT count(*) FROM target") == [(0,)]


def test_a_value_that_does_not_fit_names_its_column_and_leaves_the_rows(run_job, execute, query):
    execute("CREATE TABLE target (id int, name varchar(3))")
    execute("INSERT INTO target VALUES (1, 'old')")
    query_ = "SELECT 1 AS id, 'too long' AS name"

    with pytest.raises(JobFailure, match=r"target: column name: value too long"):
        run_job(RunSql, sql=query_, into="target")

    assert query("SELECT * FROM target") == [(1, "old")]


def columns(query: Any) -> Any:
    return query(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'target'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )


@pytest.fixture
def changed(execute):
    execute("CREATE TABLE source (id int, new text, moment date)")
    execute("INSERT INTO source VALUES (1, 'n', '2026-01-02')")
    execute("CREATE TABLE target (id int PRIMARY KEY, gone text, moment text)")
    execute("INSERT INTO target VALUES (1, 'g', 'x'), (2, 'h', 'y')")
    execute("GRANT SELECT ON target TO PUBLIC")


def test_ignore_leaves_new_columns_out(run_job, query, changed):
    with_ = {"source_table": "source", "target_table": "target", "on_schema_change": "ignore"}
    run_job(MirrorTable, **with_)
    run_job(SyncTable, **with_, key="id")

    assert query("SELECT * FROM target") == [(1, None, "2026-01-02")]


def test_append_new_columns_adds_them(run_job, query, changed):
    with_ = {"source_table": "source", "target_table": "target"}
    run_job(SyncTable, **with_, key="id", on_schema_change="append_new_columns")

    assert query("SELECT id, gone, moment, new FROM target ORDER BY id") == [
        (1, "g", "2026-01-02", "n"),
        (2, "h", "y", None),
    ]


def test_sync_all_columns_changes_types_and_drops_where_every_row_is_new(run_job, query, changed):
    with_ = {"source_table": "source", "target_table": "target"}
    run_job(MirrorTable, **with_, on_schema_change="sync_all_columns")

    assert columns(query) == [("id", "integer"), ("moment", "date"), ("new", "text")]
    assert query("SELECT id, new, moment::text FROM target") == [(1, "n", "2026-01-02")]
    assert query("SELECT relacl IS NOT NULL FROM pg_class WHERE relname = 'target'") == [(True,)]


def test_recreate_makes_the_table_anew_only_where_it_differs(run_job, execute, query, changed):
    with_ = {"source_table": "source", "target_table": "target", "on_schema_change": "recreate"}
    run_job(MirrorTable, **with_)
    assert columns(query) == [("id", "integer"), ("new", "text"), ("moment", "date")]

    execute("GRANT SELECT ON target TO PUBLIC")
    run_job(MirrorTable, **with_)

    assert query("SELECT relacl IS NOT NULL FROM pg_class WHERE relname = 'target'") == [(True,)]


def test_a_view_on_the_table_keeps_recreate_from_dropping_it(run_job, execute, query, changed):
    execute("CREATE VIEW looking AS SELECT * FROM target")

    with pytest.raises(Exception, match="view looking depends on table target"):
        run_job(
            MirrorTable,
            source_table="source",
            target_table="target",
            on_schema_change="recreate",
        )

    assert query("SELECT count(*) FROM target") == [(2,)]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE MATERIALIZED VIEW target AS SELECT 1 AS id", "is a materialized view"),
        ("CREATE SEQUENCE target", "is a sequence"),
    ],
)
def test_what_is_no_table_is_told(run_job, execute, made, told):
    execute(SOURCE)
    execute(made)

    with pytest.raises(JobFailure, match=f"target {told}, and rows cannot be written to it"):
        run_job(MirrorTable, source_table="source", target_table="target")


def test_partitions_and_dropped_columns_are_no_difference(run_job, execute, query):
    execute("CREATE TABLE source (a int, bad text, b text) PARTITION BY RANGE (a)")
    execute("CREATE TABLE s1 PARTITION OF source FOR VALUES FROM (0) TO (10)")
    execute("CREATE TABLE s2 PARTITION OF source FOR VALUES FROM (10) TO (20)")
    execute("ALTER TABLE source DROP COLUMN bad")
    execute("INSERT INTO source VALUES (1, 'x'), (11, 'y')")
    execute("CREATE TABLE target (drop_me int, b text, a int) PARTITION BY LIST (a)")
    execute("ALTER TABLE target DROP COLUMN drop_me")
    execute("CREATE TABLE t1 PARTITION OF target FOR VALUES IN (1)")
    execute("CREATE TABLE t2 PARTITION OF target DEFAULT")
    execute("INSERT INTO target VALUES ('old', 5)")
    with_ = {"source_table": "source", "target_table": "target"}

    run_job(MirrorTable, **with_)
    assert query("SELECT a, b FROM target ORDER BY a") == [(1, "x"), (11, "y")]
    execute("UPDATE source SET b = 'z' WHERE a = 1")
    assert run_job(SyncTable, **with_, key="a")["updated"] == 1
    assert query("SELECT a, b FROM t1") == [(1, "z")]


def test_a_generated_column_of_the_source_is_copied_where_the_target_has_it(
    run_job, execute, query
):
    execute("CREATE TABLE source (a int, b int GENERATED ALWAYS AS (a * 2) STORED)")
    execute("INSERT INTO source VALUES (1)")
    execute("CREATE TABLE less (a int)")

    for name in ("made", "less"):
        for _ in range(2):
            run_job(MirrorTable, source_table="source", target_table=name)

    assert query("SELECT * FROM made") == [(1, 2)]
    assert query("SELECT * FROM less") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT 1 AS a, 2 AS a", 'column "a" specified more than once'),
        ("SELECT", "the query has no columns"),
    ],
)
def test_a_query_that_makes_no_table_is_told(run_job, query, sql, told):
    with pytest.raises(Exception, match=told):
        run_job(RunSql, sql=sql, into="target")

    assert query("SELECT to_regclass('target')") == [(None,)]


def test_a_new_table_has_the_sources_key_and_what_a_row_must_have(run_job, execute, query):
    execute(
        "CREATE TABLE source (b text NOT NULL DEFAULT 'it''s', a int PRIMARY KEY,"
        " n int DEFAULT -5, f timestamptz DEFAULT now())"
    )
    execute("COMMENT ON COLUMN source.b IS 'what b is'")
    execute("COMMENT ON TABLE source IS 'the source'")

    run_job(MirrorTable, source_table="source", target_table="m.made")
    run_job(SyncTable, source_table="source", target_table="m.synced", key="b")

    execute("INSERT INTO m.made (a) VALUES (1)")
    assert query("SELECT b, a, n, f IS NOT NULL FROM m.made") == [("it's", 1, -5, True)]
    comments = "obj_description('m.made'::regclass), col_description('m.made'::regclass, 1)"
    assert query(f"SELECT {comments}") == [("the source", "what b is")]
    for table, key in (("m.made", "a"), ("m.synced", "b")):
        assert query(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            f" WHERE conrelid = '{table}'::regclass AND contype = 'p'"
        ) == [(f"PRIMARY KEY ({key})",)]


def test_a_source_without_columns_is_a_sentence(run_job, execute):
    execute("CREATE TABLE source ()")

    with pytest.raises(JobFailure, match="source has no columns"):
        run_job(MirrorTable, source_table="source", target_table="t")


OTHERS = """
    CREATE TABLE target (
        id int, name text, note text, n int DEFAULT 7, at timestamptz DEFAULT now()
    );
    INSERT INTO target VALUES (1, 'old', 'mine', 8, '2020-01-01');
    INSERT INTO target VALUES (3, 'gone');
    CREATE TABLE source AS SELECT 1 AS id, 'new' AS name UNION SELECT 2, 'two';
"""


@pytest.mark.parametrize("kind", ["mirror", "into"])
def test_what_others_have_put_into_other_columns_stays_with_its_row(run_job, execute, query, kind):
    execute(OTHERS)
    execute("ALTER TABLE target ADD PRIMARY KEY (id)")

    if kind == "mirror":
        run_job(MirrorTable, source_table="source", target_table="target")
    else:
        run_job(RunSql, sql="SELECT * FROM source", into="target")

    assert query("SELECT id, name, note, n FROM target ORDER BY id") == [
        (1, "new", "mine", 8),
        (2, "two", None, 7),
    ]


def test_where_no_key_tells_the_rows_apart_such_values_are_not_lost_without_being_asked_for(
    run_job, execute, query, caplog
):
    execute(OTHERS)
    with_ = {"source_table": "source", "target_table": "target"}

    with pytest.raises(JobFailure, match=r"has values in columns that the new rows lack.*: ignore"):
        run_job(MirrorTable, **with_)
    assert query("SELECT count(*) FROM target WHERE note = 'mine'") == [(1,)]

    run_job(MirrorTable, **with_, on_schema_change="ignore")
    assert query("SELECT id, note, n FROM target ORDER BY id") == [(1, None, 7), (2, None, 7)]
    assert "What target had in note, n, at goes with its old rows" in caplog.text

    # What a default has put there is nobody's data.
    run_job(MirrorTable, **with_)


def test_a_view_that_can_be_written_is_a_target(run_job, execute, query):
    execute("CREATE TABLE source AS SELECT 2 AS id, 'b' AS v")
    execute("CREATE TABLE behind (id int PRIMARY KEY, v text)")
    execute("INSERT INTO behind VALUES (1, 'a'), (9, 'hidden')")
    execute("CREATE VIEW target AS SELECT * FROM behind WHERE id < 5")
    with_ = {"source_table": "source", "target_table": "target"}

    run_job(MirrorTable, **with_)
    execute("UPDATE source SET v = 'c'")
    assert run_job(SyncTable, **with_, key="id")["updated"] == 1

    assert query("SELECT * FROM behind ORDER BY id") == [(2, "c"), (9, "hidden")]


def test_a_table_with_heirs_is_replaced_with_them(run_job, execute, query):
    execute("CREATE TABLE source (id int)")
    execute("CREATE TABLE source_heir (more text) INHERITS (source)")
    execute("INSERT INTO source VALUES (1)")
    execute("INSERT INTO source_heir VALUES (2, 'x')")
    execute("CREATE TABLE target (id int)")

    run_job(MirrorTable, source_table="source", target_table="target")

    assert query("SELECT * FROM target ORDER BY id") == [(1,), (2,)]
