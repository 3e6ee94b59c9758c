"""Rows that vanish on the way fail the job: what was read is counted against what was stored."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from headrace.errors import JobFailure
from headrace.jobs.base import BaseJob
from headrace.jobs.load_file import LoadFile
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.run_sql import RunSql
from headrace.jobs.sync_table import SyncTable
from tests.integration.test_jobs_between_servers import rows, run
from tests.support.attempts import JobRunner
from tests.support.places import Server

SIEVE = """
CREATE FUNCTION public.sieve() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RETURN CASE WHEN to_jsonb(NEW) ->> 'id' = '2' THEN NULL ELSE NEW END;
END $$
"""
# Each new table whose name fits gets the trigger, temporary ones, too.
EVERYWHERE = """
CREATE FUNCTION sift_new() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE made record; BEGIN
  FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table'
                 AND object_identity ~ current_setting('sieve.tables', true) LOOP
    EXECUTE 'CREATE TRIGGER sieve BEFORE INSERT ON ' || made.objid::regclass
            || ' FOR EACH ROW EXECUTE FUNCTION public.sieve()';
  END LOOP;
END $$
"""
COPY: dict[str, Any] = {"source_connection": "there", "source_table": "src", "target_table": "t"}
SYNC = COPY | {"primary_key": "id"}
LOAD: dict[str, Any] = {"path": "a.csv", "table": "t"}
STORED = "SELECT id, name FROM t ORDER BY 1"
Sift = Callable[[str], None]


@pytest.fixture
def run_job(target: Engine, second: Engine, tmp_path) -> JobRunner:
    run(target, "CREATE TABLE src (id int PRIMARY KEY, name text)",
        "INSERT INTO src VALUES (1, 'a'), (2, 'b'), (3, 'c')")  # fmt: skip
    (tmp_path / "a.csv").write_text("id,name\n1,a\n2,b\n3,c\n")
    engines = {None: second, "there": target}
    return JobRunner(engines, search_path=(tmp_path,), project=tmp_path)


@pytest.fixture
def sift_new(second: Engine, second_server_of_another_major: Server) -> Sift:
    """Let new tables whose names fit a pattern lose rows; only a superuser can."""
    server = second_server_of_another_major
    server.execute(
        SIEVE, EVERYWHERE,
        "CREATE EVENT TRIGGER sieve ON ddl_command_end WHEN TAG IN ('CREATE TABLE')"
        " EXECUTE FUNCTION sift_new()",
        database=str(second.url.database),
    )  # fmt: skip

    def sift(tables: str) -> None:
        server.execute(f"ALTER DATABASE {second.url.database} SET sieve.tables = '{tables}'")

    sift("^nothing$")
    return sift


@pytest.mark.parametrize(
    ("tables", "job", "with_", "said"),
    [
        ("staged_rows", LoadFile, LOAD | {"mode": "merge"},
         "a.csv: 3 records were read, but PostgreSQL stored 2: nothing is saved"),
        ("staged_rows", LoadFile,
         LOAD | {"mode": "merge", "on_error": {"reject_table": "rejects", "limit": 5}},
         "a.csv: 3 rows were sent, 2 were stored"),
        ("staged_rows", SyncTable, SYNC, "src: 3 rows were read, but 2 arrived"),
        ("staged_rows", MirrorTable, COPY, "src: 3 rows were read, but 2 arrived"),
        ("fitted", SyncTable, SYNC,
         "2 of 3 staged rows are left: this is a bug in Headrace"),
        ("made", SyncTable, SYNC | {"target_table": "made"},
         "src: 3 rows were read, but 2 arrived"),
        ("made", RunSql, {"sql": "SELECT generate_series(1, 3) AS id", "into": "made"},
         "made took 2 of 3 rows"),
        ("^public.headrace_", LoadFile, LOAD | {"mode": "replace", "replace_strategy": "swap"},
         "the new t took 2 of 3 rows"),
    ],
)  # fmt: skip
def test_a_job_that_loses_a_row_on_its_way_saves_nothing(
    run_job: JobRunner,
    second: Engine,
    sift_new: Sift,
    tables: str,
    job: type[BaseJob],
    with_: dict[str, Any],
    said: str,
):
    run(second, "CREATE TABLE t (id bigint PRIMARY KEY, name text)",
        "INSERT INTO t VALUES (9, 'kept')")  # fmt: skip
    sift_new(tables)

    with pytest.raises(JobFailure) as failure:
        run_job(job, **with_)

    assert str(failure.value) == said
    assert rows(second, STORED) == [(9, "kept")]
    assert rows(second, "SELECT to_regclass('made')") == [(None,)]


@pytest.mark.parametrize("of", ["t", "t_1"])
@pytest.mark.parametrize("more", [{}, {"metadata": ["_file"]}])
def test_what_a_trigger_of_a_table_or_its_partition_rejects_is_a_warning(
    run_job: JobRunner, second: Engine, caplog, of: str, more: dict[str, Any]
):
    run(second, SIEVE, "CREATE TABLE t (id int, name text) PARTITION BY RANGE (id)",
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
        f"CREATE TRIGGER sieve BEFORE INSERT ON {of} FOR EACH ROW EXECUTE FUNCTION sieve()",
    )  # fmt: skip

    run_job(LoadFile, **LOAD, **more)

    assert "a trigger of t rejected 1 of 3 rows" in caplog.text
    assert rows(second, STORED) == [(1, "a"), (3, "c")]


def test_what_a_rule_takes_away_is_an_error(run_job: JobRunner, second: Engine):
    run(second, "CREATE TABLE t (id int, name text)",
        "CREATE RULE away AS ON INSERT TO t WHERE NEW.id = 2 DO INSTEAD NOTHING")  # fmt: skip

    with pytest.raises(JobFailure) as failure:
        run_job(LoadFile, **LOAD, metadata=["_file"])

    assert str(failure.value) == (
        "a.csv: 3 records were read, but PostgreSQL stored 2: nothing is saved"
    )
    assert rows(second, STORED) == []


def test_an_error_that_comes_once_only_is_raised_as_it_is(run_job: JobRunner, second: Engine):
    """No column is wrong when each is tried by itself: a domain looked at something else."""
    run(second, "CREATE SEQUENCE looks START 5",
        "CREATE FUNCTION later(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('looks') = 1 THEN RAISE 'not now' USING ERRCODE = '55006'; END IF;"
        " RETURN true; END $$",
        "CREATE DOMAIN slow AS text CHECK (later(VALUE))",
        "CREATE TABLE t (id int PRIMARY KEY, name slow)",
        "INSERT INTO t VALUES (9, NULL)", "ALTER SEQUENCE looks RESTART 1",
    )  # fmt: skip

    with pytest.raises(OperationalError, match="not now"):
        run_job(SyncTable, **SYNC)

    assert rows(second, "SELECT id FROM t") == [(9,)]
    assert run_job(SyncTable, **SYNC)["inserted"] == 3
