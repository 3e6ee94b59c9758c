"""Former names go on working in Headrace's processes, each module once; foreign ones come first."""

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.engine.catalog.job_registry import Registry

ROOT = Path(__file__).resolve().parents[2]
FORMER = """
from headrace.jobapi import former_names
former_names.answer()
"""
JOB = """
from jobs.base import BaseJob, get_db, logger
from runner.errors import InvalidPayload, JobFailure
from runner.template import Preview


class LoadOrders(BaseJob):
    def handle(self):
        return 7
"""


def told(program: str, folder: Path) -> str:
    """What a program prints that runs in a folder, with nothing of the repository on its path."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("jobs.base", "headrace.jobs.base"),
        ("jobs.run_sql", "headrace.jobs.run_sql"),
        ("runner.jobapi.folders", "headrace.jobapi.folders"),
        ("runner.queue.entry", "headrace.queue.entry"),
        ("runner.secrecy", "headrace.observe.redaction"),
    ],
)
def test_a_former_name_is_the_one_module_of_now(tmp_path, former, present):
    program = f"import {former} as former, {present} as present; print(former is present)"
    assert told(f"{FORMER}; {program}".replace("\n;", ";"), tmp_path) == "True"


def test_modules_that_have_moved_since_answer_to_the_names_of_before(tmp_path):
    moved = {
        "runner.exact": "headrace.model.exact_json",
        "runner.folders": "headrace.jobapi.folders",
        "jobs.scripts": "headrace.jobs.statements.user_sql",
        "jobs.results": "headrace.jobs.sql.query_result",
        "jobs.previews": "headrace.jobs.statements.previews",
        "jobs.catalogue": "headrace.jobs.tables.table_catalog",
    }
    program = f"""{FORMER}
from importlib import import_module
for former, present in {moved!r}.items():
    print(import_module(former) is import_module(present))
"""
    assert told(program, tmp_path).splitlines() == ["True"] * len(moved)


def test_what_a_package_holds_is_the_same_under_its_former_name(tmp_path):
    program = f"""{FORMER}
from jobs import BaseJob as one
from jobs.base import BaseJob as two
from runner.errors import JobFailure as failure
import headrace
print(one is two is headrace.BaseJob, failure is headrace.JobFailure)
"""
    assert told(program, tmp_path) == "True True"


@pytest.mark.parametrize("folder", [ROOT, None], ids=["in the repository", "elsewhere"])
def test_python_m_runner_is_the_command_line(tmp_path, folder):
    if folder is None:
        program = f"{FORMER}import runpy, sys; sys.argv = ['x', '--version']\n"
        program += "runpy.run_module('runner', run_name='__main__')"
        assert told(program, tmp_path).startswith("headrace ")
    else:
        assert subprocess.check_output(
            [sys.executable, "-m", "runner", "--version"], cwd=folder, text=True
        ).startswith("headrace ")


def test_in_the_repository_the_folders_names_lead_to_the_same_modules():
    program = (
        "from jobs.base import BaseJob; from runner.errors import JobFailure; import headrace;"
    )
    program += "print(BaseJob is headrace.BaseJob, JobFailure is headrace.JobFailure)"
    assert told(program, ROOT) == "True True"


def test_a_foreign_program_gets_no_former_names_even_after_it_has_dispatched(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "load_orders.py").write_text(JOB)
    program = """
import sys
from pathlib import Path
sys.path.remove("")
from headrace.engine.catalog.job_registry import Registry
registry = Registry(folder=Path("jobs").resolve())
print("LoadOrders" in registry.names(), registry.check("jobs.load_orders.LoadOrders", {}))
print([name for name in sys.modules if name.split(".")[0] in ("jobs", "runner")])
sys.path.clear()
try:
    import runner
except ImportError:
    print("none")
"""
    assert told(program, tmp_path).splitlines() == ["True []", "[]", "none"]


def test_a_project_may_make_its_folder_jobs_a_package(tmp_path):
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "__init__.py").write_text("from jobs.common import RATE\nTWICE = 2 * RATE\n")
    (folder / "common.py").write_text("RATE = 3\n")
    (folder / "load_orders.py").write_text(f"from jobs import TWICE\n{JOB}    rate = TWICE\n")
    program = f"""{FORMER}
from pathlib import Path
from headrace.engine.catalog.job_registry import Registry
registry = Registry(folder=Path("jobs").resolve())
one, two = (registry.get(name).cls for name in ("LoadOrders", "jobs.load_orders.LoadOrders"))
print(one.rate, two.rate, one().handle())
"""
    # As `headrace` runs it, and as `python -m headrace` does, which has the folder on its path.
    away = program.replace("import Path\n", "import Path\nimport sys; sys.path.remove('')\n", 1)
    assert [told(one, tmp_path) for one in (away, program)] == ["6 6 7", "6 6 7"]


def test_a_built_in_job_keeps_its_short_name_and_answers_to_its_former_path():
    from headrace.jobs.base import class_name
    from headrace.jobs.run_sql import RunSql

    assert class_name(RunSql) == "RunSql"
    assert Registry().get("jobs.run_sql.RunSql").cls is RunSql
    assert Registry().get("headrace.jobs.run_sql.RunSql").cls is RunSql


def test_a_package_of_a_project_is_forgotten_with_its_project(tmp_path):
    for name in ("one", "two"):
        package = tmp_path / name / "jobs" / "orders"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"OF = {name!r}\n")
    program = """
import shutil, sys
from pathlib import Path
from headrace.jobapi import former_names
former_names.answer_for(Path("one/jobs"))
import jobs.orders
first = jobs.orders
print(first.OF, hasattr(first, "__file__"), hasattr(first, "missing"))
former_names.answer_for(Path("two/jobs"))
print("jobs.orders" in sys.modules, "jobs.base" in sys.modules)
import jobs.orders
print(jobs.orders.OF)
shutil.rmtree("two/jobs/orders")
del sys.modules["headrace.jobs.project_files.orders"]
print(hasattr(jobs.orders, "__file__"))
"""
    expected = ["one True False", "False False", "two", "False"]
    assert told(program, tmp_path).splitlines() == expected


def test_what_a_package_of_a_project_lacks_is_told(tmp_path):
    (tmp_path / "jobs" / "orders").mkdir(parents=True)
    (tmp_path / "jobs" / "orders" / "__init__.py").write_text("import pandasaurus\n")
    program = """
from pathlib import Path
from headrace.jobapi import former_names
former_names.answer_for(Path("jobs"))
try:
    from jobs.orders import OF
except ImportError as error:
    print(error)
"""
    assert told(program, tmp_path) == "No module named 'pandasaurus'"
