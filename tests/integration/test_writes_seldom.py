"""Writing jobs at a table that lacks a key, hides rows, is changed meanwhile or is elsewhere."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import ProgrammingError

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.base import BaseJob
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.sync_table import SyncTable
from tests.integration.test_jobs_between_servers import rows, run
from tests.support.attempts import JobRunner
from tests.support.places import Server
from tests.support.processes import wait_until

COPY: dict[str, Any] = {"source_connection": "there", "source_table": "src", "target_table": "t"}
SYNC = COPY | {"primary_key": "id"}
STORED = "SELECT id, name FROM t ORDER BY 1"
BLOCKED = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def run_job(target: Engine, second: Engine) -> JobRunner:
    run(second, "CREATE TABLE src (id int PRIMARY KEY, name text)",
        "INSERT INTO src VALUES (1, 'a'), (2, 'b')",
        "CREATE VIEW doubled AS TABLE src UNION ALL SELECT * FROM src WHERE id = 2",
        "CREATE TABLE documents (id json, name text)",
        "INSERT INTO documents VALUES ('1', 'a')")  # fmt: skip
    return JobRunner({None: target, "there": second})


def failed(run_job: JobRunner, job: type[BaseJob], **with_: Any) -> str:
    with pytest.raises(JobFailure) as failure:
        run_job(job, **with_)
    return str(failure.value)


@pytest.mark.parametrize(
    "how", [{}, {"delete_missing": "soft"}, {"merge_strategy": "delete_insert"}]
)
@pytest.mark.parametrize("values", ["", "INSERT INTO t VALUES ('old', 'o')"])
def test_a_target_without_the_keys_column_is_told(run_job, execute, query, how, values):
    execute(f"CREATE TABLE t (code text, name text); {values}")

    said = failed(run_job, SyncTable, **SYNC, **how, on_schema_change="ignore")

    assert said == "t has no column 'id', which is the key"
    assert query("SELECT count(*) FROM t") == [(1 if values else 0,)]


def test_a_key_is_looked_at_where_an_empty_target_has_none(run_job, execute, query):
    execute("CREATE TABLE t (id int, name text)")

    said = failed(run_job, SyncTable, **SYNC | {"source_table": "doubled"})

    assert said == "doubled: the key id=2 is null or occurs 2 times"
    assert run_job(SyncTable, **SYNC)["inserted"] == 2
    assert query(STORED) == [(1, "a"), (2, "b")]


def test_a_key_whose_type_has_no_order_makes_no_table(run_job, query):
    with pytest.raises(ProgrammingError, match="type json has no default operator class"):
        run_job(SyncTable, **SYNC | {"source_table": "documents"})
    assert query("SELECT to_regclass('t')") == [(None,)]


def test_a_table_that_is_filled_while_the_copy_waits_keeps_those_rows(
    run_job, execute, query, target
):
    execute("CREATE TABLE t (id int PRIMARY KEY, name text)")
    with ThreadPoolExecutor(1) as pool:
        with target.begin() as other:
            other.exec_driver_sql("INSERT INTO t VALUES (1, 'z'), (9, 'nine')")
            job = pool.submit(run_job, SyncTable, **SYNC)
            wait_until(lambda: query(BLOCKED))
        result = job.result(60)

    assert (result["inserted"], result["updated"]) == (1, 1)
    assert query(STORED) == [(1, "a"), (2, "b"), (9, "nine")]


def test_a_table_that_is_another_one_meanwhile_is_left_alone(run_job: JobRunner, second: Engine):
    """One of its name that the search path finds first: a change of its own would wait."""
    run(second, "CREATE TABLE t (id int PRIMARY KEY, name text)", "CREATE SCHEMA etl",
        "INSERT INTO t VALUES (9, 'nine')")  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        with second.begin() as other:
            other.exec_driver_sql("LOCK public.t IN ROW EXCLUSIVE MODE")
            job = pool.submit(failed, run_job, SyncTable, **SYNC, target_connection="there")
            wait_until(lambda: rows(second, BLOCKED))
            other.exec_driver_sql("CREATE TABLE etl.t (id int PRIMARY KEY, name text)")
        said = job.result(60)

    assert said == (
        "t was changed by somebody else while its rows were being prepared: run the job again"
    )
    found = rows(second, "SELECT id FROM public.t UNION ALL SELECT id FROM etl.t")
    assert found == [(9,)]


def test_rows_that_the_role_does_not_see_are_told(run_job, execute, query, caplog):
    execute("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (5, 'x')")
    execute("CREATE POLICY hides ON t USING (id <> 5); ALTER TABLE t ENABLE ROW LEVEL SECURITY,"
            " FORCE ROW LEVEL SECURITY")  # fmt: skip
    role = query("SELECT current_user")[0][0]

    run_job(SyncTable, **SYNC, delete=True)
    run_job(MirrorTable, **COPY, verify="count")
    run_job(SyncTable, source_table="t", target_table="seen", primary_key="id")

    reading = (
        f"Row level security applies to t: the role {role} reads only the rows that it may see"
    )
    warning = (
        f"Row level security applies to t: rows that the role {role} may not see stay as they are"
    )
    told = [one.getMessage() for one in caplog.records]
    assert told.count(warning) == 2
    assert told.count(reading) == 1
    assert query("SELECT id FROM seen ORDER BY id") == [(1,), (2,)]
    assert "t is not verified: its role does not see all rows" in told
    execute("ALTER TABLE t NO FORCE ROW LEVEL SECURITY")
    assert query(STORED) == [(1, "a"), (2, "b"), (5, "x")]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"replace_strategy": "swap"}, ""),
        ({}, "written by key (id), because other tables refer to it"),
    ],
)
def test_a_replaced_table_gets_new_columns_however_it_is_replaced(
    run_job, execute, query, caplog, how, told
):
    caplog.set_level("INFO")
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    if not how:
        execute("CREATE TABLE child (id int REFERENCES t); INSERT INTO child VALUES (1)")

    run_job(MirrorTable, **COPY, **how, on_schema_change="append_new_columns")

    assert query(STORED) == [(1, "a"), (2, "b")]
    assert told in caplog.text


def test_a_sequence_that_the_role_may_not_move_is_named_and_the_others_move(
    run_job: JobRunner,
    second: Engine,
    second_server_of_another_major: Server,
    caplog: pytest.LogCaptureFixture,
):
    name = str(second.url.database)
    second_server_of_another_major.execute(
        "CREATE SEQUENCE public.theirs", "GRANT USAGE ON SEQUENCE public.theirs TO etl",
        database=name,
    )  # fmt: skip
    run(second, "CREATE TABLE t (id int DEFAULT nextval('theirs') PRIMARY KEY, n serial)")
    run(second, "CREATE VIEW numbers AS SELECT 7 AS id, 70 AS n")

    run_job(SyncTable, source_connection="there", source_table="numbers", primary_key="id",
            target_connection="there", target_table="t")  # fmt: skip

    assert (
        'The sequence "public"."theirs" was not moved past the values of t.id: GRANT SELECT, UPDATE'
        ' ON SEQUENCE "public"."theirs" TO "etl", or the next insert there may collide'
    ) in [one.getMessage() for one in caplog.records]
    assert rows(second, "SELECT nextval('t_n_seq')") == [(71,)]


def test_a_table_of_another_server_is_written_without_a_lock(
    run_job: JobRunner, second: Engine, second_server_of_another_major: Server
):
    server, name = second_server_of_another_major, str(second.url.database)
    server.execute(
        "CREATE EXTENSION postgres_fdw",
        "CREATE SERVER itself FOREIGN DATA WRAPPER postgres_fdw OPTIONS"
        f" (host '127.0.0.1', port '{server.port}', dbname '{name}')",
        "CREATE USER MAPPING FOR etl SERVER itself OPTIONS"
        f" (user 'etl', password '{second.url.password}')",
        "GRANT USAGE ON FOREIGN SERVER itself TO etl",
        database=name,
    )  # fmt: skip
    run(second, "CREATE TABLE kept (id int PRIMARY KEY, name text)",
        "INSERT INTO kept VALUES (1, 'z'), (9, 'nine')",
        "CREATE FOREIGN TABLE t (id int, name text) SERVER itself OPTIONS (table_name 'kept')",
    )  # fmt: skip

    result = run_job(SyncTable, **SYNC, target_connection="there", delete=True)

    assert (result["inserted"], result["updated"], result["deleted"]) == (1, 1, 1)
    assert rows(second, "SELECT * FROM kept ORDER BY 1") == [(1, "a"), (2, "b")]


def test_a_mask_needs_a_type_that_has_a_hash(run_job, query, monkeypatch):
    monkeypatch.setenv("SALT", "0123456789abcdef")
    with pytest.raises(InvalidPayload) as failure:
        run_job(SyncTable, **SYNC | {"source_table": "documents", "primary_key": "name"},
                mask={"id": "hash"}, mask_salt={"env": "SALT"})  # fmt: skip
    assert str(failure.value) == ("mask: id is json, which has no hash: take null or {constant: …}")
    assert query("SELECT to_regclass('t')") == [(None,)]
