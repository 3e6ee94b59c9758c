"""A project's hooks around attempts, on the way that a user takes: files, a worker, a database."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Headrace
from tests.support.servers import connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

HOOKS = """
import json
import os
import time

import psycopg2

from headrace import get_db
from headrace.hooks import after_attempt, before_attempt, on_failure


def note(moment, info):
    with psycopg2.connect(os.environ["NOTES"]) as connection:
        said = {name: getattr(info, name) for name in info.__slots__}
        connection.cursor().execute(
            "insert into noted (moment, info) values (%s, %s)", (moment, json.dumps(said))
        )
    connection.close()


@before_attempt
def noted_before(info):
    note("before", info)


@on_failure
def noted_failure(info):
    note("failure", info)


@after_attempt
def noted_after(info):
    note("after", info)
"""
RAISES = """
from headrace.hooks import after_attempt, before_attempt, on_failure


@before_attempt
@on_failure
@after_attempt
def raises(info):
    raise KeyError("no such channel")
"""
MEDDLES = """
import os

from sqlalchemy import text

from headrace import get_db
from headrace.hooks import after_attempt, before_attempt


@before_attempt
@after_attempt
def meddles(info):
    if info.result:
        info.result["n"] = 8
    os.chdir("/")
    with get_db() as db:
        db.execute(text("insert into kept values (99)"))
"""
HANGS = """
import time

from headrace.hooks import after_attempt, before_attempt


@before_attempt
@after_attempt
def hangs(info):
    time.sleep(600)
"""
JOBS = """
from pathlib import Path

from sqlalchemy import text

from headrace import BaseJob, JobFailure, jobapi


class Keep(BaseJob):
    def __init__(self, n: int, **kwargs):
        super().__init__(**kwargs)
        self.n = n

    def handle(self):
        with self.session() as session:
            session.execute(text("insert into kept values (:n)"), {"n": self.n})
        return {"n": self.n, "folder": str(Path.cwd())}


class FailOnce(BaseJob):
    def handle(self):
        if jobapi.current().attempt == 1:
            raise JobFailure("not yet")


class Short(BaseJob):
    def handle(self):
        return None
"""
PIPELINES = {
    "keep": "[{id: keep, job: Keep, queue: high, with: {n: 7}}]",
    "twice": "[{id: twice, job: FailOnce, retry: {limit: 1, delay: 0s}}]",
    "fails": "[{id: fails, job: FailedJob, retry: {limit: 0}}]",
    "many": "[{id: many, job: Short, foreach: {items: '{{ range(120) | list }}', as: n}}]",
}

Project = Callable[..., Headrace]


@pytest.fixture
def project(tmp_path: Path, database: str, redis_url: str) -> Project:
    """Make a project whose hooks are this text."""

    def made(hooks: str, **environ: str) -> Headrace:
        for folder in ("jobs", "pipelines"):
            (tmp_path / folder).mkdir()
        (tmp_path / "jobs" / "own.py").write_text(JOBS)
        (tmp_path / "jobs" / "hooks.py").write_text(hooks)
        (tmp_path / "config.yaml").write_text("hooks: [jobs.hooks]\nworkers: 1\n")
        for name, steps in PIPELINES.items():
            path = tmp_path / "pipelines" / f"{name}.yaml"
            path.write_text(f"name: {name}\nsteps: {steps}\n")
        urls = {"DATABASE_URL": database, "REDIS_URL": redis_url, "NOTES": database}
        query(database, "create table noted (n serial, moment text, info json)")
        query(database, "create table kept (n int)")
        return Headrace(tmp_path, {**urls, **environ})

    return made


def query(database: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


def noted(database: str) -> list[tuple[str, dict[str, Any]]]:
    return [tuple(row) for row in query(database, "select moment, info from noted order by n")]


def test_hooks_are_told_what_is_to_run_and_how_it_has_ended(project: Project, database: str):
    headrace = project(HOOKS)
    ran = headrace("run", "keep", "--json", timeout=120)
    assert ran.code == 0, ran.out + ran.err

    (first, before), (last, after) = noted(database)

    ((job_id, run_id),) = query(database, "select id::text, run_id::text from headrace.job")
    expected = {
        "job_id": job_id, "run_id": run_id, "pipeline": "keep", "step": "keep",
        "job_class": "Keep", "attempt": 1, "queue": "high", "error": None,
    }  # fmt: skip
    assert (first, last) == ("before", "after")
    assert before == {**expected, "status": "started", "result": None, "duration_s": None}
    assert after["duration_s"] > 0
    result = {"n": 7, "folder": str(headrace.folder)}
    assert {**after, "duration_s": 0} == {
        **expected, "status": "completed", "result": result, "duration_s": 0
    }  # fmt: skip


def test_each_attempt_that_fails_is_told_with_whether_another_follows(
    project: Project, database: str
):
    headrace = project(HOOKS)
    assert headrace("run", "twice", timeout=120).code == 0
    assert headrace("run", "fails", timeout=120).code == 1

    told = [(moment, info["attempt"], info["status"]) for moment, info in noted(database)]

    assert told == [
        ("before", 1, "started"), ("failure", 1, "retrying"), ("after", 1, "retrying"),
        ("before", 2, "started"), ("after", 2, "completed"),
        ("before", 1, "started"), ("failure", 1, "failed"), ("after", 1, "failed"),
    ]  # fmt: skip
    errors = [info["error"] for moment, info in noted(database) if moment == "failure"]
    assert errors[0] == "not yet"
    assert errors[1]


def test_an_exception_in_a_hook_is_logged_with_its_name_and_changes_no_outcome(
    project: Project, database: str
):
    headrace = project(RAISES)
    with headrace.started_worker() as worker:
        ran = headrace("run", "keep", "--json", timeout=120)
        assert ran.code == 0, ran.out + ran.err
        worker.wait_for("(after_attempt)")
        said = worker.output()

    for moment in ("before_attempt", "after_attempt"):
        assert f"the hook headrace.jobs.project_files.hooks.raises ({moment}) of job" in said
    assert "KeyError: 'no such channel'" in said
    assert "jobs/hooks.py:9); the job's outcome is unchanged" in said
    assert "on_failure" not in said
    assert query(database, "select status, attempt, error from headrace.job") == [
        ("completed", 1, None)
    ]


def test_a_hook_reaches_neither_the_attempts_transaction_nor_its_result_nor_the_next_job(
    project: Project, database: str
):
    headrace = project(MEDDLES)
    for _ in range(2):
        ran = headrace("run", "keep", "--json", timeout=120)
        assert ran.code == 0, ran.out + ran.err

    assert query(database, "select n from kept") == [(7,), (7,)]
    results = query(database, "select result ->> 'n' from headrace.job")
    assert results == [("7",), ("7",)]


def test_a_hook_that_hangs_is_waited_for_as_long_as_its_limit_and_no_longer(
    project: Project, database: str
):
    headrace = project(HANGS, HEADRACE_HOOK_LIMIT_S="0.3")
    with headrace.started_worker() as worker:
        for _ in range(2):
            ran = headrace("run", "keep", "--json", timeout=120)
            assert ran.code == 0, ran.out + ran.err
        worker.wait_for("(after_attempt)")
        assert "hooks.hangs (before_attempt) of job" in worker.output()
        assert "did not return within 0.3 s" in worker.output()
    assert query(database, "select status, attempt from headrace.job") == [("completed", 1)] * 2


def test_short_jobs_which_would_share_a_commit_are_told_one_by_one(project: Project, database: str):
    headrace = project(HOOKS)
    assert headrace("run", "many", timeout=120).code == 0

    counts = query(
        database,
        "select moment, count(*), count(distinct info ->> 'job_id') from noted"
        " where info ->> 'job_class' = 'Short' group by moment order by moment",
    )
    assert counts == [("after", 120, 120), ("before", 120, 120)]


def test_a_module_of_hooks_that_cannot_be_imported_stops_the_start_and_is_named(project: Project):
    headrace = project("import nowhere_at_all\n")

    for command in (["worker"], ["run", "keep"], ["up", "--no-web"]):
        ended = headrace(*command, timeout=60)
        assert ended.code == 2, (command, ended.out + ended.err)
        assert "hooks in config.yaml: the module jobs.hooks cannot be imported" in (
            ended.out + ended.err
        )
        assert "No module named 'nowhere_at_all'" in ended.out + ended.err


def test_a_name_that_is_no_module_is_refused_with_its_place(project: Project):
    headrace = project(HOOKS)
    (headrace.folder / "config.yaml").write_text("hooks: [jobs/hooks.py]\n")

    ended = headrace("worker")

    assert ended.code == 2
    assert "config.yaml:1:9" in ended.err
    assert "write the name of a module, as in jobs.hooks or my_company.hooks" in ended.err


def test_json_of_the_run_is_unchanged_by_hooks_that_print(project: Project):
    headrace = project("from headrace.hooks import after_attempt\nafter_attempt(print)\n")
    ran = headrace("run", "keep", "--json", timeout=120)
    assert json.loads(ran.out)["status"] == "completed"
