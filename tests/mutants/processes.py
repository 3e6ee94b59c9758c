"""Runs pytest in a copy of the tree, and leaves no process of it behind."""

import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.mutants.workspace import python

_MARK = "HEADRACE_MUTANTS_RUN"
_LEFT_OUT = ("HEADRACE_", "JOB_", "DATABASE_URL", "REDIS_URL", "PYTEST_", "PYTHON")


def run_pytest(
    copy: Path,
    arguments: Sequence[str],
    env: Mapping[str, str],
    *,
    seconds: float | None = None,
    said: int = subprocess.DEVNULL,
) -> int | None:
    """Return pytest's exit code, None if it took longer than `seconds`."""
    run = uuid.uuid4().hex
    clean = {name: text for name, text in os.environ.items() if not name.startswith(_LEFT_OUT)}
    with tempfile.TemporaryDirectory(prefix="hr", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [python(copy), "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=copy,
            env={**clean, "TMPDIR": folder, **env, _MARK: run},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end_all(run, folder)
            process.wait()


def _end_all(run: str, folder: str) -> None:
    """Kill what a run has started: it may have left its process group and its environment."""
    marks = (f"{_MARK}={run}".encode(), folder.encode())
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            known = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            if any(mark in known for mark in marks):
                os.kill(int(process.name), signal.SIGKILL)
