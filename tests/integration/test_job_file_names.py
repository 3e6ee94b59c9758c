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


LOADS = """
from jobs import BaseJob
from jobs.orders.money import CENTS


class {camel}(BaseJob):
    def handle(self):
        return {{"file": __name__.rpartition("project_files.")[2], "cents": CENTS}}
"""


def test_jobs_in_subfolders_run_from_yaml_with_and_without_an_init_file(tmp_path: Path) -> None:
    headrace = Headrace(tmp_path, {})
    for folder in ("jobs/orders/eu", "jobs/http", "jobs/_drafts", "pipelines"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "jobs/orders/money.py").write_text("CENTS = 100\n")
    (tmp_path / "jobs/orders/__init__.py").write_text("from .load import LoadOrders\n")
    places = {"orders/load": "LoadOrders", "orders/eu/load": "LoadEu", "http/base": "AskOurs"}
    for place, name in places.items():
        (tmp_path / "jobs" / f"{place}.py").write_text(LOADS.format(camel=name))
    (tmp_path / "jobs/_drafts/orders.py").write_text("raise SystemExit('not to be loaded')\n")
    steps = [f"  - {{id: s{number}, job: {name}}}\n" for number, name in enumerate(places.values())]
    steps.append("  - {id: dotted, job: jobs.orders.eu.load.LoadEu}\n")
    (tmp_path / "pipelines/all.yaml").write_text("name: all\nsteps:\n" + "".join(steps))

    told = headrace("validate")
    assert told.code == 0, told.out + told.err
    ran = headrace("run", "all", "--json", timeout=150)

    assert ran.code == 0, ran.out + ran.err
    files = {job["step"]: job["result"]["file"] for job in ran.json["jobs"]}
    assert files == {"s0": "orders.load", "s1": "orders.eu.load", "s2": "http.base",
                     "dotted": "orders.eu.load"}  # fmt: skip


def test_a_name_that_is_taken_twice_in_subfolders_is_told_with_both_places(tmp_path: Path) -> None:
    headrace = Headrace(tmp_path, {})
    for folder in ("jobs/orders", "jobs/invoices", "pipelines"):
        (tmp_path / folder).mkdir(parents=True)
    job = "from jobs import BaseJob\nclass {}(BaseJob):\n    def handle(self): pass\n"
    (tmp_path / "jobs/orders/load.py").write_text(job.format("Load"))
    (tmp_path / "jobs/invoices/load.py").write_text(job.format("Load"))
    (tmp_path / "jobs/invoices/send.py").write_text(job.format("Send"))
    (tmp_path / "jobs/invoices.py").write_text(job.format("Invoices"))

    told = headrace("validate")

    assert told.code == 1
    both = "jobs/invoices.py and the folder jobs/invoices/ have one name"
    assert f"jobs/invoices.py: {both} [taken-twice]\n  hint: rename one of them" in told.out
    (tmp_path / "jobs/invoices.py").unlink()
    told = headrace("validate")
    assert told.code == 1
    both = 'two files define the job "Load": jobs/invoices/load.py and jobs/orders/load.py'
    assert f"jobs/invoices/load.py: {both} [taken-twice]" in told.out


@pytest.mark.parametrize("name", ["Send", "Invoices"])
def test_a_job_that_a_name_taken_twice_hides_is_told_where_it_is_named(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "jobs/invoices").mkdir(parents=True)
    (tmp_path / "pipelines").mkdir()
    for file, cls in (("invoices/send", "Send"), ("invoices", "Invoices")):
        (tmp_path / f"jobs/{file}.py").write_text(
            f"from jobs import BaseJob\nclass {cls}(BaseJob):\n    def handle(self): pass\n"
        )
    (tmp_path / "pipelines/one.yaml").write_text(f"name: one\nsteps: [{{id: a, job: {name}}}]\n")

    told = Headrace(tmp_path, {})("validate")

    assert f'the job "{name}" is not loaded [unknown-job]' in told.out
    assert "jobs/invoices.py and the folder jobs/invoices/ have one name" in told.out


@pytest.mark.parametrize("name", ["LoadOrders", "loads", "Loads"])
def test_a_job_of_a_file_that_does_not_load_is_told_with_that_file(
    tmp_path: Path, name: str
) -> None:
    """By whatever name it may be meant: that of a class in it, or the file's own."""
    (tmp_path / "jobs/orders").mkdir(parents=True)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "jobs/orders/loads.py").write_text(
        "import nowhere_to_be_found\nclass LoadOrders: pass\n"
    )
    (tmp_path / "pipelines/one.yaml").write_text(f"name: one\nsteps: [{{id: a, job: {name}}}]\n")

    told = Headrace(tmp_path, {})("validate")

    assert f'the file of the job "{name}" cannot be loaded [unknown-job]' in told.out
    assert "hint: jobs/orders/loads.py: ModuleNotFoundError: No module named" in told.out


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
