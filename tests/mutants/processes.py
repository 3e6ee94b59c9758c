"""Runs pytest in a copy of the tree, and leaves no process of it behind."""

import os
import signal
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.mutants.workspace import python

_MARK = "HEADRACE_MUTANTS_RUN"
_LEFT_OUT = ("HEADRACE_", "JOB_", "DATABASE_URL", "REDIS_URL", "PYTEST_", "PYTHON")


_ended = threading.Event()
_running: set[str] = set()


class EndedFromOutsideError(Exception):
    """Says that a run was ended and has no result."""


def end_running() -> None:
    """End all runs, so that who waits for them gets `EndedFromOutsideError`."""
    _ended.set()
    for run in tuple(_running):
        _end_all(run)


def run_pytest(
    copy: Path,
    arguments: Sequence[str],
    env: Mapping[str, str],
    *,
    seconds: float | None = None,
    said: int = subprocess.DEVNULL,
) -> int | None:
    """Return pytest's exit code, None if it took longer than `seconds`.

    Raises:
        EndedFromOutsideError: See `end_running`.
    """
    run = f"hr{uuid.uuid4().hex[:8]}"
    clean = {name: text for name, text in os.environ.items() if not name.startswith(_LEFT_OUT)}
    with tempfile.TemporaryDirectory(prefix=run, ignore_cleanup_errors=True) as folder:
        # Servers that refuse to run as root have a user of their own, who works below it.
        Path(folder).chmod(0o755)
        process = subprocess.Popen(
            [python(copy), "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=copy,
            env={**clean, "TMPDIR": folder, **env, _MARK: run},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        _running.add(run)
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_all(run)
            process.wait()
            _running.remove(run)
    if _ended.is_set():
        raise EndedFromOutsideError
    return code


def _end_all(run: str) -> None:
    """Kill what a run has started, by its mark in environment or arguments, whatever its group."""
    mark = run.encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            known = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            if mark in known:
                os.kill(int(process.name), signal.SIGKILL)
