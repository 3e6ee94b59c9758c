"""Starts a program that does not outlive its job, however that ends."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO

from headrace import jobapi

SHELL = "/bin/sh"

# Bytes of one line; the rest of a longer one is left out.
_LONGEST_LINE = 1 << 20
_PIECE = 1 << 16

# Waits for its line before it becomes the program: the watcher is to know it by then.
_HELD = 'read -r go && exec "$@" </dev/null'

# Is told the program's process group, then waits. A worker that dies closes the pipe, and the
# group goes with it; one that is done with the program sends a second line.
_WATCH = 'read -r group && { read -r done || kill -s KILL -- "-$group"; }'

EachLines = Callable[[Sequence[bytes]], None]


def run_program(
    command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], each_lines: EachLines
) -> int:
    """Run a program to its end and return its exit code, negative for the signal that ended it.

    `each_lines` gets what it writes, standard error too, many lines at a time. What it has started
    ends with it (in whatever session, on Linux; elsewhere in its process group), and all of it with
    the process that calls this. A job that is stopped passes SIGTERM on and waits for the end. One
    at a time in a process: another one's program is not told apart.

    Raises:
        OSError: the shell or the folder is missing.
        ValueError: an argument holds a NUL character.
        JobStopped: the job has to end, and the program has ended.
    """
    with (
        _watched() as watch,
        jobapi.adopting_orphans(),
        _alone() as end_strays,
        _held(command, cwd, environ) as program,
    ):
        assert program.stdin is not None and program.stdout is not None
        reader = Thread(target=_read, args=(program.stdout, each_lines), daemon=True)
        reader.start()
        watch(program.pid)
        with suppress(BrokenPipeError):
            program.stdin.write(b"go\n")
            program.stdin.close()
        try:
            _wait(program)
        except jobapi.JobStopped:
            # It may tidy up, for as long as this process may: that one is killed then, with all.
            _signal(program.pid, signal.SIGTERM)
            _wait(program)
            _end_output(program, end_strays, reader)
            raise
        _end_output(program, end_strays, reader)
        return program.wait()


def _end_output(
    program: subprocess.Popen[bytes], end_strays: Callable[..., None], reader: Thread
) -> None:
    """Kill what a program that has ended left running: it would hold the output open."""
    _signal(program.pid, signal.SIGKILL)
    end_strays(program.pid)
    reader.join()


@contextmanager
def _alone() -> Iterator[Callable[..., None]]:
    """Yield what ends all that this process has adopted since; an exception does it, too."""
    strays = jobapi.Strays()

    def end(*spare: int) -> None:
        # It ends at the job's timeout at the latest: this process is killed for it.
        while strays.end(spare):
            time.sleep(0.001)

    try:
        yield end
    except BaseException:
        end()
        raise


@contextmanager
def _held(
    command: Sequence[str], cwd: Path, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    program = subprocess.Popen(
        [SHELL, "-c", _HELD, SHELL, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=dict(environ),
        process_group=0,
    )
    try:
        yield program
    finally:
        if program.returncode is None:
            _signal(program.pid, signal.SIGKILL)
        # Waits for it, and closes its pipes.
        with suppress(BrokenPipeError):
            program.__exit__(None, None, None)


@contextmanager
def _watched() -> Iterator[Callable[[int], None]]:
    watcher = subprocess.Popen(
        [SHELL, "-c", _WATCH],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Of its own: it has to outlive what kills the job's.
        process_group=0,
    )
    assert watcher.stdin is not None
    pipe = watcher.stdin

    def say(word: object) -> None:
        pipe.write(f"{word}\n".encode())
        pipe.flush()

    try:
        yield say
    finally:
        with suppress(BrokenPipeError):
            say("done")
        with suppress(BrokenPipeError):
            watcher.__exit__(None, None, None)


def _read(output: IO[bytes], each_lines: EachLines) -> None:
    lines = jobapi.Linewise(_LONGEST_LINE)
    # As much as there is, at once: line by line a program would wait for its reader.
    while piece := os.read(output.fileno(), _PIECE):
        if ended := lines.feed(piece):
            each_lines(ended)
    if rest := lines.end():
        each_lines(rest)


def _wait(program: subprocess.Popen[bytes]) -> None:
    """Wait until a program has ended, its exit code not taken yet: its number stays its own."""
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    else:
        program.wait()  # macOS, before Python 3.13


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
