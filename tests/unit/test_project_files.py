"""A project's job files beside Headrace's own modules of the same names."""

from pathlib import Path

import pytest

from tests.unit.test_former_names import JOB, told

ANSWER = """
import sys
from pathlib import Path
from headrace.jobapi import former_names, project_jobs
former_names.answer_for(Path("jobs"))
def refused(name):
    try:
        __import__(name)
    except ImportError as error:
        return str(error)
"""


def write(folder: Path, **files: str) -> None:
    """Write job files; `a__b` is `a/b.py`."""
    for name, text in files.items():
        path = folder / "jobs" / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_file_may_import_headrace_s_modules_by_a_dot(tmp_path: Path) -> None:
    write(tmp_path, load_orders=JOB.replace("from jobs.base", "from .base"), own="RATE = 3\n")
    program = f"""{ANSWER}
import jobs.base, jobs.load_orders
from jobs.load_orders import BaseJob, LoadOrders
print(BaseJob is jobs.base.BaseJob, LoadOrders().handle())
"""
    assert told(program, tmp_path) == "True 7"


def test_what_neither_has_is_told_by_the_name_that_was_asked_for(tmp_path: Path) -> None:
    write(tmp_path, orders__load="RATE = 3\n", sql__own="RATE = 4\n", asks="from .orders import no")
    names = ["orders.nothing", "nothing", "nothing.below", "sql.nothing", "base.below"]
    program = f"""{ANSWER}
for name in {names!r}:
    print(refused("jobs." + name))
print(refused("jobs.asks"))
"""
    assert told(program, tmp_path).splitlines() == [
        "No module named 'jobs.orders.nothing'",
        "No module named 'jobs.nothing'",
        "No module named 'jobs.nothing'",
        "No module named 'jobs.sql.nothing'",
        "No module named 'jobs.base.below'; 'jobs.base' is not a package",
        "cannot import name 'no' from 'headrace.jobs.project_files.orders' (unknown location)",
    ]


def test_what_a_file_does_not_define_the_one_that_it_hides_answers(tmp_path: Path) -> None:
    write(tmp_path, base="OWN = 1\n", orders__load="RATE = 3\n", checks__kinds="OWN = 2\n")
    program = f"""{ANSWER}
import jobs.base, jobs.orders.load, jobs.checks.kinds
import headrace.jobs.base, headrace.jobs.checks.kinds
print(jobs.base.OWN, jobs.base.BaseJob is headrace.jobs.base.BaseJob)
print(jobs.checks.kinds.OWN, hasattr(headrace.jobs.checks.kinds, "OWN"))
for module, name in (
    (jobs.base, "nothing"), (jobs.orders.load, "nothing"), (jobs.base, "__nothing__"),
):
    try:
        getattr(module, name)
    except AttributeError as error:
        print(error)
"""
    assert told(program, tmp_path).splitlines() == [
        "1 True",
        "2 False",
        "module 'headrace.jobs.base' has no attribute 'nothing'",
        "module 'headrace.jobs.project_files.orders.load' has no attribute 'nothing'",
        "module 'headrace.jobs.project_files.base' has no attribute '__nothing__'",
    ]


def test_a_file_goes_before_a_module_of_headrace_s_that_is_known_already(tmp_path: Path) -> None:
    write(tmp_path, http="OWN = 1\n")
    program = f"""{ANSWER}
import headrace.jobs.http
from jobs import http
import jobs
print(http.OWN, jobs.http is http)
"""
    assert told(program, tmp_path) == "1 True"


def test_a_folder_of_sql_alone_hides_no_module(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "sql").mkdir(parents=True)
    (tmp_path / "jobs" / "reports").mkdir()
    write(tmp_path, own="OWN = 1\n")
    program = f"""{ANSWER}
import jobs.sql.query_result, headrace.jobs.sql.query_result
print(jobs.sql.query_result is headrace.jobs.sql.query_result)
for name in ("sql", "reports", "x.json", "own.json"):
    print(project_jobs.name_of(name))
"""
    assert told(program, tmp_path).splitlines() == [
        "True",
        "None",
        "headrace.jobs.project_files.reports",
        "None",
        "None",
    ]


@pytest.mark.parametrize(
    "first", ["jobs.reports.monthly.own", "jobs.reports.monthly", "jobs.reports"]
)
def test_a_file_below_folders_without_init_files_is_imported_by_its_name(
    tmp_path: Path, first: str
) -> None:
    write(tmp_path, reports__monthly__own="from jobs.reports.monthly.rates import RATE\n")
    write(tmp_path, reports__monthly__rates="RATE = 3\n")
    program = f"""{ANSWER}
import {first}
from jobs.reports.monthly.own import RATE
from headrace.jobs.project_files.reports.monthly import own
print(RATE, own.RATE, refused("jobs.reports.weekly.own"))
"""
    assert told(program, tmp_path) == "3 3 No module named 'jobs.reports.weekly'"


@pytest.mark.parametrize("other", ["jobs", "none", "ours"])
def test_which_folder_is_a_project_s(tmp_path: Path, other: str) -> None:
    write(tmp_path, own="OWN = 1\n")
    given = {"jobs": '"../x/jobs"', "none": '"nothing"', "ours": "headrace.jobs.__path__[0]"}
    (tmp_path / "x").mkdir()
    program = f"""{ANSWER}
import headrace.jobs, jobs.own
first = jobs.own
project_jobs.use(Path({given[other]}))
import jobs.own
print(project_jobs.folder() == Path("jobs").resolve(), jobs.own is first)
"""
    (tmp_path / "jobs" / "link").mkdir()
    if other == "jobs":
        program = program.replace('"../x/jobs"', '"x/../jobs"')
    assert told(program, tmp_path) == "True True"


def test_a_module_has_its_source_also_under_its_former_name(tmp_path: Path) -> None:
    program = f"""{ANSWER}
from importlib.util import find_spec
import headrace.jobs.run_sql
for name in ("jobs.run_sql", "runner.secrecy"):
    source = find_spec(name).loader.get_source(name)
    print("class RunSql(" in source, source.startswith('\\"\\"\\"'))
"""
    assert told(program, tmp_path).splitlines() == ["True True", "False True"]


def test_a_package_of_the_project_that_cannot_be_loaded_is_told_to_whoever_imports_it(
    tmp_path: Path,
) -> None:
    write(tmp_path, load_orders=JOB)
    (tmp_path / "jobs" / "__init__.py").write_text("raise ValueError('not today')\n")
    program = """
import sys
from pathlib import Path
from headrace.jobapi import former_names
with former_names.answered(Path("jobs").resolve()):
    print("jobs" in sys.modules)
    try:
        import jobs
    except ValueError as error:
        print(error)
print("jobs" in sys.modules, former_names._finder in sys.meta_path)
"""
    assert told(program, tmp_path).splitlines() == ["False", "not today", "False False"]


def test_answers_for_a_while_are_taken_back_and_those_for_good_are_not(tmp_path: Path) -> None:
    write(tmp_path, own="from jobs.base import BaseJob\n")
    program = """
import sys
from pathlib import Path
sys.path.remove("")
from headrace.jobapi import former_names
def names():
    return sorted(n for n in sys.modules if n.partition(".")[0] in ("jobs", "runner"))
with former_names.answered(Path("jobs")):
    import jobs.own, runner.errors
    print(len(names()) > 3)
print(names(), "headrace.jobs.base" in sys.modules)
former_names.answer()
with former_names.answered(Path("jobs")):
    import jobs.own
print("jobs.own" in names())
former_names.answer()
print(sys.meta_path.count(former_names._finder))
"""
    assert told(program, tmp_path).splitlines() == ["True", "[] True", "True", "1"]


def test_a_company_s_own_package_of_that_name_is_left_to_python(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text("OWN = 1\n")
    program = f"""{ANSWER}
import jobs
print(jobs.OWN, project_jobs.folder(), hasattr(jobs, "BaseJob"))
"""
    assert told(program, tmp_path) == "1 None False"
