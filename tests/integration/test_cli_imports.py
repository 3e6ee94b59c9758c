"""A command loads what it needs and no more: that keeps it quick, whatever machine it runs on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment

# What takes more than a hundredth of a second to load.
HEAVY = (
    "sqlalchemy redis rq pydantic jsonschema sqlglot jinja2 yaml alembic croniter holidays psycopg2"
    " fastapi uvicorn starlette pyarrow fsspec simplejson importlib.metadata importlib.resources"
).split()
_RUN = """
import json, sys
from headrace.cli import main
try:
    code = main(sys.argv[2:])
except SystemExit as error:
    code = error.code
with open(sys.argv[1], "w") as file:
    json.dump([code, sorted(sys.modules)], file)
"""
PLAIN = "name: plain\nsteps:\n  - {id: n, job: Fibonacci, with: {n: 10}}\n"
SQL = "name: sql\nsteps:\n  - {id: one, job: RunSql, with: {sql: SELECT 1}}\n"


def loaded(folder: Path, environ: dict[str, str], *arguments: str) -> set[str]:
    """Return all modules of a process that has carried out a command."""
    told = folder / "modules.json"
    subprocess.run(
        [sys.executable, "-c", _RUN, str(told), *arguments],
        cwd=folder,
        env=environment({"HEADRACE_HOME": str(folder / "home"), **environ}),
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    code, modules = json.loads(told.read_text())
    assert code == 0
    return set(modules)


def heavy(modules: set[str]) -> set[str]:
    return modules.intersection(HEAVY)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "plain.yaml").write_text(PLAIN)
    return tmp_path


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_help_and_version_load_no_library(project: Path, option: str):
    assert heavy(loaded(project, {}, option)) == set()


def test_validate_loads_what_reads_the_files_and_the_jobs_that_they_name(project: Path):
    modules = loaded(project, {}, "validate")

    assert heavy(modules) == {"yaml", "jinja2", "simplejson", "psycopg2"}
    assert "headrace.jobs.fibonacci" in modules
    assert "headrace.jobs.mirror_table" not in modules


def test_validate_loads_the_parser_of_sql_where_there_is_sql(project: Path):
    (project / "pipelines" / "sql.yaml").write_text(SQL)

    modules = loaded(project, {}, "validate")

    of_sqlglot = {"sqlglot", "importlib.metadata", "importlib.resources"}
    assert heavy(modules) == {"yaml", "jinja2", "simplejson", "psycopg2", *of_sqlglot}


@pytest.mark.parametrize("command", [("plan", "plain"), ("show", "plain")])
def test_plan_and_show_of_a_pipeline_load_no_database_and_no_queue(
    project: Path, command: tuple[str, str]
):
    assert heavy(loaded(project, {}, *command)) <= {"yaml", "jinja2", "simplejson", "psycopg2"}


@pytest.mark.parametrize("command", ["runs", "jobs"])
def test_listings_talk_to_postgresql_by_its_driver_alone(
    project: Path, database: str, redis_url: str, command: str
):
    servers = {"DATABASE_URL": database, "REDIS_URL": redis_url}

    assert heavy(loaded(project, servers, command)) == {"psycopg2", "simplejson"}
