"""What `make mutants` starts in a copy of the tree ends with it."""

import sys
import threading
import time
from pathlib import Path

import pytest

from tests.mutants import processes
from tests.support.processes import wait_until

# Leaves pytest's group, and its child's environment says nothing of the run.
PROGRAM = """#!{python}
import os, pathlib, subprocess, sys, tempfile
folder = tempfile.gettempdir()
code = "import time; time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code, folder], env={{}}, start_new_session=True)
pathlib.Path("{told}").write_text(f"{{child.pid}} {{os.environ.get('DATABASE_URL')}}")
child.wait()
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder whose interpreter starts a process and waits for it."""
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(python=sys.executable, told=tmp_path / "told"))
    program.chmod(0o755)
    return tmp_path


def child_of(copy: Path) -> int:
    told = copy / "told"
    while not told.exists() or not told.read_text():
        time.sleep(0.01)
    child, url = told.read_text().split()
    assert url == "None"
    return int(child)


def ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_a_run_that_takes_too_long_leaves_no_process(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://another")

    for seconds in (1, 4, 16):
        assert processes.run_pytest(copy, [], {}, seconds=seconds) is None
        if (copy / "told").exists():  # a busy machine starts nothing in a second
            break

    child = child_of(copy)
    wait_until(lambda: ended(child), what="its end")


def test_a_run_that_is_ended_from_outside_has_no_result(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_ended", threading.Event())

    def end() -> None:
        child_of(copy)
        processes.end_running()

    ender = threading.Thread(target=end)
    ender.start()

    with pytest.raises(processes.EndedFromOutsideError):
        processes.run_pytest(copy, [], {})

    ender.join()
    assert ended(child_of(copy))
