"""What SyncTable takes for a difference, in values that have no equality or a strange one."""

from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.sync_table import SyncTable
from tests.integration.test_jobs_between_servers import run

WITH = {"source_table": "source", "target_table": "target", "key": "id"}


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("json", '{"a": 1}', '{"a": 2}'),
        ("json", '{"a": 1}', '{ "a": 1}'),
        ("point", "(1,2)", "(1,3)"),
        ("polygon", "((0,0),(1,1))", "((0,0),(1,2))"),
        ("numeric", "1.0", "1.00"),
        ("jsonb", "1.0", "1.00"),
        ("float8", "0", "-0"),
        ("float8", "1", "NaN"),
        ("interval", "1 mon", "30 days"),
        ("json[]", '{"1"}', '{"1 "}'),
        ("text", "e\u0301", "é"),
        ("character(5)", "a", "b"),
        ("box", "(1,1),(0,0)", "(1,1),(0,0.5)"),
    ],
)
def test_a_value_that_is_stored_otherwise_is_carried_over_once(
    run_job, execute, query, kind, old, new
):
    execute(f"CREATE TABLE source (id int, v {kind}, n {kind})")
    execute(f"CREATE TABLE target (v {kind}, id int PRIMARY KEY, n {kind})")
    execute(f"INSERT INTO source VALUES (1, '{new}', NULL), (2, '{old}', '{old}'), (3, NULL, NULL)")
    execute(f"INSERT INTO target VALUES ('{old}', 1, NULL), ('{old}', 2, NULL), (NULL, 3, NULL)")

    assert run_job(SyncTable, **WITH)["updated"] == 2
    assert run_job(SyncTable, **WITH)["updated"] == 0
    assert query("SELECT v::text, n::text FROM target ORDER BY id") == query(
        "SELECT v::text, n::text FROM source ORDER BY id"
    )


def test_xml_is_carried_over(run_job, second):
    run_job.engines["there"] = second
    run(second, "CREATE TABLE source AS SELECT 1 AS id, '<a/>'::xml AS v")
    run(second, "CREATE TABLE target AS SELECT 1 AS id, 'a <b/>'::xml AS v")

    assert run_job(SyncTable, **WITH, connection="there")["updated"] == 1
    assert run_job(SyncTable, **WITH, connection="there")["updated"] == 0


def test_columns_of_other_types_and_collations_are_compared_as_they_are_stored(
    run_job, execute, query
):
    execute('CREATE TABLE source (id text COLLATE "C", v numeric, c text)')
    execute("INSERT INTO source VALUES ('a', 1.0, 'x'), ('b', 2, 'y')")
    execute(
        'CREATE TABLE target (id varchar(5) COLLATE "POSIX" PRIMARY KEY, v numeric(9,2), c char(3))'
    )
    execute("INSERT INTO target VALUES ('a', 1, 'x'), ('b', 3, 'y')")

    assert run_job(SyncTable, **WITH)["updated"] == 1
    assert run_job(SyncTable, **WITH)["updated"] == 0


@pytest.mark.parametrize("key", ["NULL", "1"])
def test_a_key_that_is_null_or_doubled_in_the_source_is_refused(run_job, execute, query, key):
    execute("CREATE TABLE source (id int, v text)")
    execute(f"INSERT INTO source VALUES (1, 'a'), ({key}, 'b')")
    execute("CREATE TABLE target AS SELECT 1 AS id, 'old' AS v")

    with pytest.raises(JobFailure, match="is null or occurs"):
        run_job(SyncTable, **WITH)

    assert query("SELECT v FROM target") == [("old",)]


def test_rows_of_the_target_without_a_key_are_missing_in_the_source(run_job, execute, query):
    execute("CREATE TABLE source AS SELECT 1 AS id")
    execute("CREATE TABLE target AS SELECT NULL::int AS id")

    assert run_job(SyncTable, **WITH, delete=True) == {
        "inserted": 1, "updated": 0, "deleted": 1, "table": "target"
    }  # fmt: skip


def test_rows_that_a_trigger_keeps_away_fail_the_synchronisation(run_job, execute, query):
    execute("CREATE TABLE source AS SELECT generate_series(1, 3) AS id")
    execute("CREATE TABLE target (id int)")
    execute("CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN IF NEW.id % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END'")  # fmt: skip
    execute("CREATE TRIGGER odd BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION odd()")

    with pytest.raises(JobFailure, match="target did not store 1 of the rows"):
        run_job(SyncTable, **WITH)

    assert query("SELECT count(*) FROM target") == [(0,)]


@pytest.fixture
def tenants(second: Any) -> Any:
    run(
        second,
        "CREATE TABLE source (id int, tenant text)",
        "INSERT INTO source VALUES (1, 'a'), (2, 'b')",
        "ALTER TABLE source ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE source FORCE ROW LEVEL SECURITY",
        "CREATE POLICY own ON source USING (tenant = 'a')",
    )
    return second


def test_rows_that_row_level_security_hides_are_told(run_job, tenants, query, caplog):
    run_job.engines["there"] = tenants

    run_job(MirrorTable, source_table="source", target_table="t", source_connection="there")

    assert query("SELECT id FROM t") == [(1,)]
    assert "Row level security applies to source: the role etl reads only" in caplog.text


def test_a_source_that_the_role_may_not_read_is_a_sentence(run_job, second):
    run_job.engines["there"] = second
    run(second, "CREATE TABLE source (id int)", "REVOKE ALL ON source FROM etl")

    with pytest.raises(
        JobFailure, match=r'no right to read source: GRANT SELECT ON "public"."source"'
    ):
        run_job(MirrorTable, source_table="source", target_table="t", source_connection="there")


def test_a_schema_that_the_role_may_not_make_is_a_sentence(
    run_job, second, second_server_of_another_major
):
    second_server_of_another_major.execute("ALTER DATABASE other OWNER TO postgres")
    run_job.engines["there"] = second
    source = {"source_table": "pg_catalog.pg_am", "source_connection": "there"}

    with pytest.raises(JobFailure, match="no schema new, and the role etl cannot create one"):
        run_job(MirrorTable, **source, target_table="new.t", target_connection="there")
