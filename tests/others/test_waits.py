"""How long a job waits for SQLite, MariaDB and DuckDB, and what it is told when it has waited."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymysql
import pytest

from headrace.jobs.check_data import CheckData
from headrace.jobs.run_sql import RunSql
from headrace.model.connection import NamedConnection
from headrace.store.attempts import AttemptStore
from headrace.store.others.mysql_line import MysqlLine
from headrace.store.others.sqlite_line import SqliteLine
from headrace.store.sessions import JobSessions
from headrace.template import RenderedSql
from headrace.template.guard import JobGuard
from tests.others.conftest import Places, Runs
from tests.support.mariadb import MariaDb
from tests.support.places import PASSWORD

_TEN_YEARS_S = 3650 * 86400
_HOLDER = (
    "import sys, duckdb; held = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
)


@contextmanager
def duckdb_held(path: Path) -> "Iterator[subprocess.Popen[str]]":
    """Have another process keep the file, which DuckDB gives to one at a time."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def path_of(url: str) -> Path:
    return Path("/" + url.partition(":////")[2])


def test_sqlite_says_what_to_do_about_another_writer(run: Runs, places: Places) -> None:
    place = places("sqlite")
    place.query("create table t (id int)", SqliteLine.make_ledger)
    run.connections["there"] = place.url
    with closing(sqlite3.connect(path_of(place.url), isolation_level=None)) as other:
        other.execute("begin immediate")

        told = run.failed(
            RunSql, sql="insert into t values (1)", connection="there", lock_timeout="0.1s"
        )

    assert told == (
        "there (SQLite): database is locked; another program writes there: lock_timeout says how"
        " long a job waits"
    )


def test_mysql_says_what_to_do_about_a_row_that_is_locked(
    run: Runs, places: Places, mariadb: MariaDb
) -> None:
    place = places("mysql")
    place.query("create table t (id int primary key)", "insert into t values (1)")
    run.connections["there"] = place.url
    with closing(
        pymysql.connect(
            host="127.0.0.1",
            port=mariadb.port,
            user="etl",
            password=PASSWORD,
            database=place.url.rpartition("/")[2],
        )
    ) as other:
        other.cursor().execute("select * from t for update")

        told = run.failed(RunSql, sql="delete from t", connection="there", lock_timeout="1s")

    assert told == (
        "there (MySQL): Lock wait timeout exceeded; try restarting transaction (1205);"
        " lock_timeout says how long a job waits for a lock"
    )
    assert place.query("select id from t") == [(1,)]


def test_duckdb_says_what_to_do_about_a_process_that_has_the_file(
    run: Runs, places: Places
) -> None:
    place = places("duckdb")
    place.query("create table t (id int)")
    run.connections["there"] = place.url
    with duckdb_held(path_of(place.url)):
        told = run.failed(
            RunSql, sql="insert into t values (1)", connection="there", lock_timeout="0.1s"
        )

    assert told.startswith("there (DuckDB): IO Error: Could not set lock on file ")
    assert told.endswith(
        "; DuckDB lets one process at a time have the file: give the steps that use it a pool with"
        " one slot, or a longer lock_timeout"
    )


@pytest.mark.parametrize("lock_timeout", ["1m", "0s"])
def test_duckdb_is_waited_for(
    run: Runs, places: Places, monkeypatch: pytest.MonkeyPatch, lock_timeout: str
) -> None:
    place = places("duckdb")
    place.query("create table t (id int)")
    run.connections["there"] = place.url
    with duckdb_held(path_of(place.url)) as holder:
        looked: list[float] = []

        def leave(seconds: float) -> None:
            looked.append(seconds)
            holder.kill()
            holder.wait()

        monkeypatch.setattr("headrace.store.others.duckdb_line.time.sleep", leave)
        done = run(
            RunSql, sql="insert into t values (1)", connection="there", lock_timeout=lock_timeout
        )

    assert done.status == "completed", done.error
    assert looked == [0.05]
    assert place.query("select id from t") == [(1,)]


def test_a_file_that_is_none_of_duckdbs_is_not_waited_for(
    run: Runs, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = places("duckdb")
    path_of(place.url).write_text("something else, and long enough to be looked at\n" * 100)
    run.connections["there"] = place.url
    monkeypatch.setattr(
        "headrace.store.others.duckdb_line.time.sleep", lambda _seconds: pytest.fail("it waits")
    )

    told = run.failed(RunSql, sql="insert into t values (1)", connection="there")

    assert told.startswith("there (DuckDB): ")
    assert "not a valid DuckDB database file" in told


def test_a_missing_file_of_duckdb_is_told_to_who_reads(run: Runs, project: Path) -> None:
    run.connections["there"] = f"duckdb:///{project}/nothing.duckdb"

    told = run.failed(CheckData, table="t", not_null=["id"], connection="there")

    assert told == f"there (DuckDB): there is no file {project}/nothing.duckdb"
    assert not (project / "nothing.duckdb").exists()


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("8.0.36", [f"SET max_execution_time = {n}" for n in (1500, 1, 4294967295)]),
        (
            "11.8.2-MariaDB",
            [f"SET max_statement_time = {n}" for n in (1.5, 0.0001, 31536000)],
        ),
    ],
)
def test_a_limit_on_statements_is_said_as_the_server_takes_it(
    version: str, said: list[str]
) -> None:
    def settings(**given: Any) -> list[str]:
        lock_timeout_s = given.pop("step", None)
        connection = NamedConnection("mysql://h/d", **given)
        return MysqlLine("there", connection, JobGuard(), lock_timeout_s)._settings(version)

    waits = ["SET innodb_lock_wait_timeout = {0}", "SET lock_wait_timeout = {0}"]
    assert settings() == [one.format(5) for one in waits]
    assert settings(lock_timeout_s=0.2) == [one.format(1) for one in waits]
    assert settings(lock_timeout_s=0) == [one.format(31536000) for one in waits]
    assert settings(lock_timeout_s=7, step=9.6) == [one.format(10) for one in waits]
    assert settings(lock_timeout_s=_TEN_YEARS_S) == [one.format(31536000) for one in waits]
    for limit, one in zip((1.5, 0.0001, _TEN_YEARS_S), said, strict=True):
        assert settings(statement_timeout_s=limit)[2:] == [one]


@pytest.mark.parametrize("kind", ["mysql", "sqlite"])
def test_a_wait_that_is_longer_than_the_database_counts_is_its_longest(
    run: Runs, places: Places, kind: str
) -> None:
    place = places(kind)
    there = NamedConnection(place.url, statement_timeout_s=_TEN_YEARS_S)
    line_of: Any = MysqlLine if kind == "mysql" else SqliteLine
    line = line_of("there", there, JobGuard(), _TEN_YEARS_S)
    line.open(read_only=False)
    with closing(line):
        asked = {"mysql": "select @@lock_wait_timeout", "sqlite": "pragma busy_timeout"}[kind]
        assert line._plain(asked).fetchone() == ({"mysql": 31536000, "sqlite": 10**9}[kind],)


def test_a_limit_on_statements_is_that_of_the_session(places: Places, database: str) -> None:
    there = NamedConnection(places("mysql").url, statement_timeout_s=90)
    store = AttemptStore(database, "tests")
    sessions = JobSessions(store, {"there": there}, JobGuard(), "tests")
    sessions.begin(uuid4(), 1)
    with sessions.other_alone("there") as line:
        answer = line.run(RenderedSql("select @@max_statement_time, @@lock_wait_timeout", {}))
        assert [(float(a), b) for a, b in answer] == [(90.0, 5)]
    store.drop()
