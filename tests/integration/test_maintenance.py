"""Maintenance leaves nothing behind, and does not call skipped work done."""

import re

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from headrace.errors import JobFailure
from headrace.jobs.analyze_table import AnalyzeTable
from headrace.jobs.rebuild_index import RebuildIndex
from headrace.jobs.refresh_view import RefreshView
from headrace.jobs.run_sql import RunSql
from headrace.jobs.vacuum_table import VacuumTable
from tests.support.attempts import JobRunner, engine_for
from tests.support.roles import create_role

INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1"


@pytest.fixture
def half_built(execute, target):
    """A table on which two REINDEX CONCURRENTLY were stopped by a lock timeout."""
    execute("CREATE TABLE t (n int)")
    execute("INSERT INTO t SELECT generate_series(1, 100)")
    execute("CREATE INDEX t_n ON t (n)")
    with target.connect() as holder:
        holder.begin()
        holder.execute(text("SELECT count(*) FROM t"))
        with target.connect() as other:
            plain = other.execution_options(isolation_level="AUTOCOMMIT")
            plain.execute(text("SET lock_timeout = '50ms'"))
            for _ in range(2):
                with pytest.raises(DBAPIError):
                    plain.execute(text("REINDEX INDEX CONCURRENTLY t_n"))


@pytest.mark.parametrize("what", [{"index": "t_n"}, {"table": "t"}, {"schema": "public"}])
def test_what_a_stopped_rebuild_left_is_removed_by_the_next_one(run_job, query, half_built, what):
    assert query(INVALID)

    run_job(RebuildIndex, **what)

    assert query(INVALID) == []
    assert query("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 't'::regclass")


def test_a_unique_index_that_was_half_built_is_not_taken_for_done(run_job, execute, query):
    execute("CREATE TABLE t (n int)")
    execute("INSERT INTO t VALUES (1), (1)")
    create = "-- once\ncreate unique /* only */ index concurrently if not exists t_n on t (n)"
    with pytest.raises(DBAPIError, match="could not create unique index"):
        run_job(RunSql, sql=create, transaction=False)
    execute("DELETE FROM t")

    with pytest.raises(JobFailure, match=r"t_n.*is invalid.*DROP INDEX CONCURRENTLY"):
        run_job(RunSql, sql=create, transaction=False)

    run_job(RunSql, sql="drop index concurrently t_n", transaction=False)
    run_job(RunSql, sql=create, transaction=False)
    assert query(INVALID) == []


@pytest.fixture
def as_stranger(target, execute):
    """Run jobs as a role that owns nothing."""
    execute(create_role("stranger", "LOGIN"))
    # Who gives a table to a role has to be able to become it, and it to make tables there.
    execute("GRANT stranger TO CURRENT_USER WITH SET TRUE")
    execute("GRANT CREATE ON SCHEMA public TO stranger")
    url = make_url(target.url).set(username="stranger")
    engine = engine_for(url.render_as_string(hide_password=False))
    yield JobRunner({None: engine})
    engine.dispose()


def test_a_vacuum_that_would_be_skipped_fails(as_stranger, execute):
    execute("CREATE TABLE t (n int)")

    with pytest.raises(JobFailure, match=r"only its owner may vacuum public\.t"):
        as_stranger(VacuumTable, table="public.t")


def test_a_view_is_no_table_to_vacuum(run_job, execute):
    execute("CREATE VIEW v AS SELECT 1 AS n")

    with pytest.raises(JobFailure, match="v is not a table"):
        run_job(VacuumTable, table="v")


def test_a_missing_table_is_told_by_its_name(run_job):
    with pytest.raises(JobFailure, match=r"there is no table shop\.missing"):
        run_job(VacuumTable, table="shop.missing")


def test_partitions_of_others_are_named_and_the_rest_is_vacuumed(
    as_stranger, execute, query, caplog
):
    execute("CREATE TABLE t (n int) PARTITION BY LIST (n)")
    execute("CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1)")
    execute("CREATE TABLE t_2 PARTITION OF t FOR VALUES IN (2)")
    execute("INSERT INTO t VALUES (1), (2), (2)")
    execute("ALTER TABLE t OWNER TO stranger; ALTER TABLE t_1 OWNER TO stranger")

    as_stranger(VacuumTable, table="t")

    assert "Left out 1 of 2 tables, which belong to others: t_2" in caplog.text
    assert query("SELECT reltuples::int FROM pg_class WHERE relname = 't_1'") == [(1,)]


def test_the_owner_of_the_database_may_vacuum_what_is_in_it(run_job, execute, query):
    execute("CREATE TABLE t (n int)")
    execute("INSERT INTO t VALUES (1)")

    run_job(VacuumTable, table="t")

    assert query("SELECT reltuples::int FROM pg_class WHERE relname = 't'") == [(1,)]


def test_of_a_schema_only_tables_with_dead_rows_are_vacuumed(run_job, execute, target):
    execute("CREATE SCHEMA s; CREATE TABLE s.dead (n int); CREATE TABLE s.clean (n int)")
    execute("INSERT INTO s.dead SELECT generate_series(1, 100); INSERT INTO s.clean VALUES (1)")
    with target.connect() as connection:
        connection.execute(text("DELETE FROM s.dead WHERE n <= 40"))
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        connection.commit()

    done = run_job(VacuumTable, schema="s", min_dead="30%")

    assert done == {"tables": ["s.dead"]}
    assert run_job(VacuumTable, schema="s", min_dead=50) == {"tables": []}
    assert run_job(VacuumTable, schema="s") == {"tables": ["s.clean", "s.dead"]}


def test_statistics_of_a_table_and_of_a_schema_are_refreshed(run_job, execute, query):
    execute("CREATE SCHEMA s; CREATE TABLE s.t (n int, m int); CREATE TABLE s.u (n int)")
    execute("INSERT INTO s.t SELECT n, n FROM generate_series(1, 10) n")

    assert run_job(AnalyzeTable, table="s.t", columns=["m"]) == {"tables": ['"s"."t"']}
    assert query("SELECT attname FROM pg_stats WHERE schemaname = 's'") == [("m",)]
    assert run_job(AnalyzeTable, schema="s") == {"tables": ["s.t", "s.u"]}
    with pytest.raises(JobFailure, match="the schema nowhere is missing"):
        run_job(AnalyzeTable, schema="nowhere")


def test_a_view_is_refreshed_concurrently_where_that_can_be(run_job, execute, query):
    execute("CREATE TABLE t (n int); CREATE MATERIALIZED VIEW v AS SELECT n FROM t")
    execute("INSERT INTO t VALUES (1)")

    assert run_job(RefreshView, view="v") == {"view": "v", "row_count": 1, "concurrently": False}
    with pytest.raises(JobFailure, match="no unique index over all of its rows"):
        run_job(RefreshView, view="v", concurrently=True)
    execute("CREATE UNIQUE INDEX ON v (n); INSERT INTO t VALUES (2)")
    assert run_job(RefreshView, view="v")["concurrently"] is True
    assert query("SELECT count(*) FROM v") == [(2,)]


def test_a_refresh_that_a_check_refuses_is_never_seen(run_job, execute, query):
    execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
    execute("CREATE MATERIALIZED VIEW v AS SELECT n FROM t; DELETE FROM t")

    with pytest.raises(JobFailure, match="row_count of v: 0, must be greater than 0"):
        run_job(RefreshView, view="v", checks=[{"row_count": None}])

    assert query("SELECT n FROM v") == [(1,)]
    with pytest.raises(JobFailure, match="t is no materialized view"):
        run_job(RefreshView, view="t")


def test_the_indexes_of_a_schema_are_rebuilt_or_only_those_that_are_half_empty(
    run_job, execute, query, caplog
):
    caplog.set_level("INFO")
    execute(
        "CREATE SCHEMA s; CREATE TABLE s.full_ (n int PRIMARY KEY); CREATE TABLE s.holey (n int)"
    )
    execute("INSERT INTO s.full_ SELECT generate_series(1, 20000)")
    execute("INSERT INTO s.holey SELECT generate_series(1, 20000)")
    execute(
        "CREATE INDEX holey_n ON s.holey (n); CREATE INDEX holey_hash ON s.holey USING hash (n)"
    )
    execute("DELETE FROM s.holey WHERE n % 10 <> 0")
    run_job(VacuumTable, schema="s", analyze=True)

    assert run_job(RebuildIndex, schema="s", min_bloat="40%") == {"indexes": ["s.holey_n"]}
    assert re.search(r"s\.holey_n: some \d\d % of it are empty", caplog.text)
    assert "s.holey_hash is left: how much of it is empty cannot be estimated" in caplog.text
    assert run_job(RebuildIndex, schema="s", min_bloat="40%") == {"indexes": []}
    assert run_job(RebuildIndex, index="s.holey_n", min_bloat="40%") == {"indexes": []}
    every = {"indexes": ["s.full__pkey", "s.holey_hash", "s.holey_n"]}
    files = "SELECT relfilenode FROM pg_class WHERE relname IN ('full__pkey', 'holey_hash')"
    for concurrently in (True, False):
        before = set(query(files))
        assert run_job(RebuildIndex, schema="s", concurrently=concurrently) == every
        assert not before & set(query(files))
    with pytest.raises(JobFailure, match=r"there is no index s\.missing"):
        run_job(RebuildIndex, index="s.missing")
