"""Connections to other databases that cannot be used, and what a job says then."""

import sys
from pathlib import Path

import pytest

from headrace.jobs.run_sql import RunSql
from tests.others.conftest import Places, Runs
from tests.support.mariadb import MariaDb


def test_who_may_not_make_the_ledger_learns_what_an_administrator_runs(
    run: Runs, places: Places, mariadb: MariaDb
) -> None:
    place = places("mysql")
    database = place.url.rpartition("/")[2]
    place.query("create table t (id int)")
    mariadb.execute(
        "create or replace user reader@'%' identified by 'throw-away'",
        f"grant select, insert on {database}.t to reader@'%'",
    )
    run.connections["there"] = place.url.replace("//etl:", "//reader:")

    error = run.failed(RunSql, sql="insert into t values (1)", connection="there")

    assert error.startswith("there (MySQL): CREATE command denied to user 'reader'@")
    _, _, remedy = error.partition(
        "; jobs that write there need Headrace's table headrace_ledger: "
    )
    assert remedy.startswith("CREATE TABLE IF NOT EXISTS headrace_ledger ( job_id CHAR(36)")
    mariadb.execute(
        remedy, f"grant select, insert on {database}.* to reader@'%'", database=database
    )
    assert run.done(RunSql, sql="insert into t values (1)", connection="there")


def test_a_missing_library_is_told_with_the_command_that_brings_it(
    run: Runs, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.connections["there"] = places("duckdb").url
    monkeypatch.setitem(sys.modules, "duckdb", None)

    assert run.failed(RunSql, sql="select 1", connection="there") == (
        'the connection "there" is DuckDB, which needs the library duckdb:'
        " pip install 'headrace[duckdb]'"
    )


def test_a_library_that_lacks_something_itself_says_what(
    run: Runs, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.connections["there"] = places("duckdb").url
    (tmp_path / "duckdb.py").write_text("import nothing_of_the_kind\n")
    monkeypatch.delitem(sys.modules, "duckdb")
    monkeypatch.syspath_prepend(tmp_path)

    error = run.failed(RunSql, sql="select 1", connection="there")

    assert "No module named 'nothing_of_the_kind'" in error
    assert "pip install" not in error


def test_an_unreadable_url_is_told_with_an_example(run: Runs) -> None:
    run.connections["there"] = "mysql+pymysql://etl@host:port/shop"

    assert run.failed(RunSql, sql="select 1", connection="there") == (
        'the URL of the connection "there" cannot be read; write'
        " mysql+pymysql://user:password@host:3306/database"
    )
