"""A project's job files may be called as they like: ours of the same name are not in their way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import Headrace, environment

pytestmark = pytest.mark.timeout(240)

# Named like rooms of ours, like files of ours, like former files, like packages of Python's.
NAMES = ("http", "files", "tables", "sql", "statements", "copying", "programs", "run_sql",
         "load_file", "results", "json", "project_files")  # fmt: skip
JOB = """
from jobs import BaseJob, get_db, logger
from jobs.base import BaseJob as Same
from jobs.shared.rates import RATE
import json

assert BaseJob is Same


class Own{camel}(BaseJob):
    def handle(self):
        with get_db() as session:
            session.connection()
        logger.info("at work")
        return {{"file": {name!r}, "rate": RATE, "json": json.dumps([1])}}


def helper():
    return {name!r}
"""
BASE = '''
from jobs.base import BaseJob


class CompanyJob(BaseJob):
    """What all jobs of the company have in common."""

    company = "ours"
'''
USES = """
from jobs import http
from jobs.base import CompanyJob, get_db, logger
from jobs.http import helper
from jobs.run_sql import RunSql, helper as of_run_sql

from .files import helper as of_files
from .base import BaseJob


class Uses(CompanyJob):
    def handle(self):
        assert http.helper is helper
        assert isinstance(self, BaseJob)
        return [self.company, helper(), of_run_sql(), of_files(), RunSql.__module__]
"""


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def a_project(folder: Path) -> Headrace:
    for name in ("jobs/shared", "pipelines"):
        (folder / name).mkdir(parents=True)
    for name in NAMES:
        text = JOB.format(name=name, camel=camel(name))
        (folder / "jobs" / f"{name}.py").write_text(text)
    (folder / "jobs" / "shared" / "rates.py").write_text("RATE = 3\n")
    (folder / "jobs" / "base.py").write_text(BASE)
    (folder / "jobs" / "uses.py").write_text(USES)
    steps = [f"  - {{id: {name}, job: Own{camel(name)}}}\n" for name in NAMES]
    steps += [
        "  - {id: uses, job: Uses}\n",
        "  - {id: dotted, job: jobs.http.OwnHttp}\n",
        "  - {id: former, job: jobs.run_sql.RunSql, with: {sql: SELECT 1 AS n, keep_rows: 1}}\n",
    ]
    (folder / "pipelines" / "all.yaml").write_text("name: all\nsteps:\n" + "".join(steps))
    return Headrace(folder, {})


def test_job_files_named_like_ours_run_from_yaml(tmp_path: Path) -> None:
    headrace = a_project(tmp_path)

    told = headrace("validate")
    assert told.code == 0, told.out + told.err
    ran = headrace("run", "all", "--json", timeout=150)

    assert ran.code == 0, ran.out + ran.err
    results = {job["step"]: job["result"] for job in ran.json["jobs"]}
    for name in NAMES:
        assert results[name] == {"file": name, "rate": 3, "json": "[1]"}
    assert results["uses"] == ["ours", "http", "run_sql", "files", "headrace.jobs.run_sql"]
    assert results["dotted"] == results["http"]
    assert results["former"]["rows"] == [{"n": 1}]


@pytest.mark.parametrize("package", [False, True], ids=["a folder", "a package"])
def test_the_command_finds_them_wherever_python_looks_first(tmp_path: Path, package: bool) -> None:
    """`headrace` has not the project on its path; `python -m headrace` and `rq worker` have."""
    a_project(tmp_path)
    if package:
        (tmp_path / "jobs" / "__init__.py").write_text("from .base import CompanyJob\nOF = 1\n")
        (tmp_path / "jobs" / "of_package.py").write_text(
            "from jobs import OF, BaseJob, CompanyJob, http\n"
            "class OfPackage(CompanyJob):\n    def handle(self): return http.helper()\n"
        )
    for name in ("sys.path.insert(0, '')", "sys.path[:] = [p for p in sys.path if p]"):
        program = f"import sys; {name}; from headrace.cli import main; sys.exit(main(sys.argv[1:]))"
        ended = subprocess.run(
            [sys.executable, "-P", "-c", program, "jobs", "--types"],
            cwd=tmp_path, env={**environment({}), "PYTHONPATH": os.pathsep.join(())},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        for wanted in (*(f"Own{camel(name)}" for name in NAMES), "Uses", "RunSql", "LoadFile"):
            assert wanted in ended.stdout.split(), ended.stdout
        assert ("OfPackage" in ended.stdout.split()) is package


def test_a_class_in_two_files_is_refused_with_both(tmp_path: Path) -> None:
    headrace = a_project(tmp_path)
    (tmp_path / "jobs" / "http_too.py").write_text(JOB.format(name="http_too", camel="Http"))

    told = headrace("validate")

    assert told.code == 1
    said = 'two files define the job "OwnHttp": jobs/http.py and jobs/http_too.py [unknown-job]'
    assert said in told.out
    assert "hint: rename one of them" in told.out


def test_a_broken_file_is_not_replaced_by_the_built_in_job_of_its_name(tmp_path: Path) -> None:
    headrace = a_project(tmp_path)
    (tmp_path / "jobs" / "check_data.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "pipelines" / "check.yaml").write_text(
        "name: check\nsteps: [{id: a, job: CheckData, with: {table: t, not_null: [n]}}]\n"
    )

    told = headrace("validate", "pipelines/check.yaml")

    assert told.code == 1
    assert 'the file of the job "CheckData" cannot be loaded [unknown-job]' in told.out
    assert "No module named 'nowhere_to_be_found'" in told.out
