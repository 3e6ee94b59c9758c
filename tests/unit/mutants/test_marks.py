"""Executed lines are noted in whichever process executes them, however it ends."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import marks

MODULE = '''"""What is marked."""
import os, signal

def here():
    return 1

def in_a_child():
    if os.fork() == 0:
        killed()
    os.wait()

def killed():
    x = 1
    os.kill(os.getpid(), signal.SIGKILL)

def never():
    return 2

def failing():
    raise ValueError
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder in which Python marks the lines of `runner/part.py`."""
    (tmp_path / "runner").mkdir()
    (tmp_path / "runner" / "part.py").write_text(MODULE)
    (tmp_path / "marks").mkdir()
    shutil.copy(marks.__file__, tmp_path / "headrace_marks.py")
    about = {
        "root": str(tmp_path),
        "folder": str(tmp_path / "marks"),
        "total": 100,
        "first": {"runner/part.py": 40},
        "statements": {"claim": 1, "read": 2, "x.sql.j2": 3},
    }
    (tmp_path / "headrace_marks.json").write_text(json.dumps(about))
    return tmp_path


def marked(tree: Path, code: str, env: dict[str, str]) -> set[int]:
    """Run a code with the marks installed; return which lines of the file are marked."""
    code = f"import headrace_marks; MARKS = headrace_marks.install(); {code}"
    folders = f"{tree}:{tree / 'runner'}"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": folders, **env}, check=True)
    (file,) = (tree / "marks").iterdir()
    return {place for place, byte in enumerate(file.read_bytes()) if byte}


def lines_of(*names: str) -> set[int]:
    """Return the numbers of the lines in some functions, counted from where the file begins."""
    found = set()
    for name in names:
        first = MODULE.splitlines().index(f"def {name}():") + 1
        body = MODULE.splitlines()[first:]
        found |= {40 + first + n for n in range([*body, ""].index(""))}
    return found


def test_a_killed_child_has_marked_what_it_executed(tree: Path) -> None:
    found = marked(tree, "import part; part.in_a_child()", {marks.FILE: str(tree / "marks" / "a")})

    assert lines_of("in_a_child", "killed") <= found
    assert not lines_of("here", "never") & found


def test_a_process_whose_environment_a_test_has_made_marks_for_its_ancestor(tree: Path) -> None:
    (tree / "marks" / str(os.getpid())).write_bytes(bytes(100))

    assert lines_of("here") <= marked(tree, "import part; part.here()", {})


def test_tracebacks_and_docstrings_stay(tree: Path) -> None:
    code = (
        "import part, traceback\n"
        "assert part.__doc__ == 'What is marked.'\n"
        "try: part.failing()\n"
        "except ValueError as error: frames = traceback.extract_tb(error.__traceback__)\n"
        "assert (frames[-1].lineno, frames[-1].line) == (20, 'raise ValueError'), frames[-1]"
    )
    marked(tree, f"exec({code!r})", {marks.FILE: str(tree / "marks" / "a")})


@pytest.mark.parametrize(
    ("sql", "places"),
    [
        ("BEGIN; EXECUTE hr_claim (1)", {1}),
        ("SELECT 1 /*hr=read*/; COMMIT", {2}),
        ("PREPARE hr_read AS SELECT 1 /*hr=read*/", set()),
    ],
)
def test_a_statement_is_marked_where_it_is_sent(tree: Path, sql: str, places: set[int]) -> None:
    env = {marks.FILE: str(tree / "marks" / "a")}
    assert marked(tree, f"MARKS.executed({sql!r})", env) == places
