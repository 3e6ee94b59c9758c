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


def validated(folder: Path) -> str:
    """Return what a process by itself says, in which no test has loaded a module."""
    command = [sys.executable, "-m", "headrace", "validate"]
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
