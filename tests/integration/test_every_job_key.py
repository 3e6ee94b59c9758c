"""Every key and choice of every built-in job, as a user writes it: YAML, `headrace up`, a worker,
and a real second server of another version, where the jobs' role is an ordinary one.

`every_key/pipelines` has the pipelines, `prepared` what is there before, `expected` what must be
seen afterwards; `tests/unit/test_real_path.py` holds that no key is missing.
"""

import datetime
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from headrace.engine.catalog.job_registry import Registry
from headrace.store.embedded import Servers
from tests.matrix.conftest import wait_ready
from tests.support.cli import Headrace
from tests.support.extracts import routes
from tests.support.http import http_server
from tests.support.places import Server, run_as_owner
from tests.support.ports import free_port
from tests.support.servers import connect, create_database, database_name, drop_database
from tests.support.up import Up, jobs_of

HERE = Path(__file__).parent / "every_key"
REGISTRY = Registry("headrace.jobs")
NAMES = sorted(path.stem for path in (HERE / "pipelines").glob("*.yaml"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Running:
    """The running Headrace, and where its two databases are."""

    def __init__(self, up: Up, urls: dict[str, str], there: Server) -> None:
        self.up, self.urls, self.there = up, urls, there
        self._jobs: dict[str, dict[str, dict[str, Any]]] = {}
        # By pipeline: each statement of its run there, and whether the server has compiled it.
        self.statements: dict[str, list[tuple[str, bool]]] = {}

    def jobs(self, pipeline: str) -> dict[str, dict[str, Any]]:
        """Return the jobs of the pipeline's only run, by step: what it makes is there once."""
        if pipeline not in self._jobs:
            self.there.execute("SELECT pg_stat_statements_reset()")
            self._jobs[pipeline] = jobs_of(self.up.run(pipeline))
            asked = "SELECT query, jit_functions > 0 FROM pg_stat_statements"
            with closing(connect(self.there.url)) as opened, opened.cursor() as cursor:
                cursor.execute(asked)
                self.statements[pipeline] = cursor.fetchall()
        return self._jobs[pipeline]

    def lines(self, job_id: str) -> list[str]:
        """Return what a job has logged."""
        said = self.up.http.ask(f"/jobs/{job_id}/logs")
        return [one["message"] for one in said["items"]]

    def rows(self, place: str, query: str) -> list[list[Any]]:
        with closing(connect(self.urls[place])) as opened, opened.cursor() as cursor:
            cursor.execute(query)
            return [list(row) for row in cursor.fetchall()]


@pytest.fixture(scope="module")
def running(
    servers: Servers,
    template_database: str,
    second_server_of_another_major: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """One `headrace up` for all pipelines."""
    folder, other = tmp_path_factory.mktemp("keys"), second_server_of_another_major
    with ExitStack() as stack:
        url = create_database(servers.database_url, template=database_name(template_database))
        stack.callback(drop_database, servers.database_url, url)
        other.execute("CREATE DATABASE keys OWNER etl", "CREATE ROLE reporter",
                      "GRANT reporter TO etl")  # fmt: skip
        stack.callback(other.execute, "DROP DATABASE keys WITH (FORCE)", "DROP ROLE reporter")
        urls = {"control": url, "there": other.url_for("keys", "etl")}
        http = stack.enter_context(http_server())
        http.routes.update(routes())
        write_project(folder, http.url(""))
        for path in sorted((HERE / "prepared").glob("*.sql")):
            place = "control" if path.stem.endswith(".control") else "there"
            run_as_owner(urls[place], path.read_text(encoding="utf-8"))
        headrace = configured(folder, servers, urls, http.port)
        started = stack.enter_context(headrace.started("up"))
        up = Up(headrace, url)
        wait_ready(up.http, started)
        yield Running(up, urls, other)
        started.stop()


def configured(folder: Path, servers: Servers, urls: dict[str, str], http_port: int) -> Headrace:
    config = {
        "connections": {"there": urls["there"]},
        "retry": {"limit": 0},
        "shell_commands": True,
        "http": {"allowed_hosts": [f"127.0.0.1:{http_port}"]},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    environ = {
        "DATABASE_URL": urls["control"],
        "REDIS_URL": servers.redis_url,
        "HEADRACE_HOME": str(folder / "home"),
        "HEADRACE_PORT": str(free_port()),
        "MASK_SALT": "a salt that nobody guesses",
        "SHOP_SECRET": "canary-9sTq2Lm",
    }
    return Headrace(folder, environ)


def write_project(folder: Path, http: str) -> None:
    """Write the pipelines and the files that they read."""
    pipelines = folder / "pipelines"
    shutil.copytree(HERE / "data", pipelines / "data")
    for path in (HERE / "pipelines").iterdir():
        text = path.read_text(encoding="utf-8").replace("{http}", http.rstrip("/"))
        (pipelines / path.name).write_text(text, encoding="utf-8")
    orders = json.loads((HERE / "data" / "orders.json").read_text(encoding="utf-8"))
    pq.write_table(pa.Table.from_pylist(orders), pipelines / "data" / "orders.parquet")
    book = openpyxl.Workbook()
    second = book.create_sheet("Second")
    second.append(["id", "name"])
    second.append([7, "seven"])
    book.save(pipelines / "data" / "orders.xlsx")


@pytest.mark.parametrize("name", NAMES)
def test_every_key_of_the_built_in_jobs_does_what_it_says(running: Running, name: str) -> None:
    expected = yaml.safe_load((HERE / "expected" / f"{name}.yaml").read_text(encoding="utf-8"))
    jobs = running.jobs(name)
    errors = expected.get("errors", {})
    said = {step: running.up.http.ask(f"/jobs/{job['id']}") for step, job in jobs.items()}
    failed = {step: one["error"] for step, one in said.items() if one["status"] != "completed"}
    assert failed.keys() == errors.keys(), failed
    for step, words in errors.items():
        assert words in failed[step]
    lines = {step: running.lines(job["id"]) for step, job in jobs.items()}
    for step, says in expected.get("says", {}).items():
        assert [one for one in says if not _is_said(one, lines[step])] == [], (step, lines[step])
    # What Headrace makes for itself is nothing to read about.
    of_ours = re.compile(r"NOTICE: .*(pg_temp|headrace_)")
    assert not [line for said in lines.items() for line in said[1] if of_ours.match(line)], lines
    for step, one in said.items():
        # `validate` lets later steps refer to these.
        known = REGISTRY.result_keys(jobs[step]["job_class"])
        if known is not None and isinstance(one["result"], dict):
            assert one["result"].keys() <= set(known), step
    for step, result in expected.get("results", {}).items():
        assert {key: said[step]["result"][key] for key in result} == result, step
    for place in running.urls:
        for query, rows in expected.get(place, {}).items():
            seen = [[_written(value) for value in row] for row in running.rows(place, query)]
            assert seen == rows, query


def test_no_server_compiles_the_statements_of_a_load_before_it_runs_them(running: Running) -> None:
    """Where PostgreSQL has JIT, a catalog query with a high estimate costs seconds of computing."""
    assert running.jobs("loads")

    seen = running.statements["loads"]
    assert any("pg_catalog.pg_type" in query for query, _ in seen)
    assert [query for query, compiled in seen if compiled] == []


def _is_said(expected: str, lines: list[str]) -> bool:
    """Return whether one of the lines is as expected, in which … stands for anything."""
    pattern = ".*".join(map(re.escape, expected.split("…")))
    return any(re.fullmatch(pattern, line, re.DOTALL) for line in lines)


def _written(value: Any) -> Any:
    """Return a value as YAML has it: a time as its day, a decimal as text."""
    if isinstance(value, datetime.datetime):
        return value.date()
    return value if isinstance(value, bool | int | str | datetime.date | None) else str(value)
