"""What `validate` remembers from one process to the next, and what it loads for it."""

import subprocess
import sys
from pathlib import Path

from tests.integration.test_cli_imports import PLAIN, SQL, heavy, loaded
from tests.support.cli import environment

OWN = "name: own\nsteps:\n  - {id: o, job: Own, with: {size: 3}}\n"
CLASS = """\
from headrace import BaseJob
from sizes import Size


class Own(BaseJob):
    def __init__(self, size: Size, **kwargs):
        super().__init__(**kwargs)

    def handle(self):
        return None
"""


def test_a_validate_of_files_that_were_seen_loads_no_library(tmp_path: Path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "plain.yaml").write_text(PLAIN)
    (tmp_path / "pipelines" / "sql.yaml").write_text(SQL)
    assert "sqlglot" in loaded(tmp_path, {}, "validate")

    again = loaded(tmp_path, {}, "validate")

    assert heavy(again) <= {"simplejson"}
    assert not any(name.startswith("headrace.jobs") for name in again)
    assert heavy(loaded(tmp_path, {}, "plan", "plain")) <= {"jinja2", "simplejson", "psycopg2"}


def test_a_changed_job_class_or_module_beside_it_counts_at_once(tmp_path: Path):
    for folder, name, text in (
        ("pipelines", "own.yaml", OWN),
        ("jobs", "own.py", CLASS),
        (".", "sizes.py", "Size = int\n"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text)
    assert "1 pipeline is valid" in validated(tmp_path)

    (tmp_path / "sizes.py").write_text("Size = list[int]\n")
    assert "wrong-type" in validated(tmp_path)

    (tmp_path / "jobs" / "own.py").write_text(CLASS.replace("size: Size", "size: int"))
    assert "1 pipeline is valid" in validated(tmp_path)


_SIDE_BY_SIDE = """
import sys
from headrace.cli import main
from headrace.engine.explain import checking_processes
checking_processes.FILES_EACH = 2
checking_processes._processors = lambda: 2
code = main(["validate"])
print("yaml" in sys.modules, "sqlglot" in sys.modules)
sys.exit(code)
"""


def test_many_new_files_are_looked_at_by_processes_that_tell_all_they_find(tmp_path: Path):
    (tmp_path / "pipelines").mkdir()
    for n in range(5):
        text = (PLAIN, SQL)[n % 2].replace("name: ", f"name: n{n}-")
        (tmp_path / "pipelines" / f"n{n}.yaml").write_text(text)
    command = [sys.executable, "-c", _SIDE_BY_SIDE]

    told = ran(tmp_path, command)

    assert told == "5 pipelines are valid\nFalse False\n"
    assert ran(tmp_path, command) == told
    (tmp_path / "pipelines" / "n5.yaml").write_text(PLAIN.replace("Fibonacci", "Fibonaci"))
    for n in range(5):
        path = tmp_path / "pipelines" / f"n{n}.yaml"
        path.write_text(f"# Edited.\n{path.read_text()}")
    told = ran(tmp_path, command)
    assert "unknown-job" in told and "1 problem in 1 file; 5 pipelines valid" in told


def validated(folder: Path) -> str:
    """Return what a process by itself says, in which no test has loaded a module."""
    return ran(folder, [sys.executable, "-m", "headrace", "validate"])


def ran(folder: Path, command: list[str]) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=50,
    )
    return done.stdout + done.stderr
