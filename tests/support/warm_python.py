"""Python processes that start warm: forked from one that has imported the libraries already.

The tests start `python -m headrace …` and workers many hundred times, and three quarters of each
start are imports of SQLAlchemy, pydantic and their like. Here a process of its own imports them
once, and a start is a fork that becomes what `python -m` makes: folder, environment, streams,
arguments, `__main__`, and all that runs at exit. Headrace's own modules are imported before the
fork as well, in a second process forked from the first; a statement without its fence gets a
process without them. An environment that speaks to the interpreter itself gets one from scratch.
"""

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
# What the interpreter, the C library and the loader read once, as they start.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "TZ", "FAKETIME", "GLIBC_")
# What is read before any of Headrace's modules is imported.
_READ_BEFORE_IMPORT = "UNFENCED"

File = int | IO[bytes]


class WarmProcess:
    """A forked process, with what the tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        """Return the exit code if it has ended, a signal as its negative number."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: It goes on.
        """
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            told = os.read(self._status, 4)
            os.close(self._status)
            # Without a status the parent itself has been killed, and with it who could tell.
            status = int.from_bytes(told, "big") if told else signal.SIGKILL
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


Started = subprocess.Popen[bytes] | WarmProcess


class _Parent:
    """The process that forks; it ends with this one."""

    def __init__(self, *, of: "_Parent | None" = None) -> None:
        """`of` has the libraries; the new one, forked from it, has Headrace's modules, too."""
        self.environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._alone = threading.Lock()
        with theirs:
            if of is None:
                self._process = subprocess.Popen(
                    [sys.executable, str(Path(__file__).with_name("warm_parent.py"))],
                    cwd=ROOT,
                    env=self.environ,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                )
            else:
                streams = (theirs.fileno(), subprocess.DEVNULL, 2)
                module = ["tests.support.warm_parent", "engine"]
                of.fork(module, ROOT, self.environ, streams, parent=True)

    def fork(
        self,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        streams: Sequence[File],
        *,
        new_session: bool = False,
        parent: bool = False,
    ) -> WarmProcess:
        request = {
            "arguments": list(arguments),
            "cwd": str(cwd),
            "env": dict(env),
            "new_session": new_session,
            "parent": parent,
        }
        status, theirs = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR)
        files = [
            nothing if one == subprocess.DEVNULL else one if isinstance(one, int) else one.fileno()
            for one in streams
        ]
        try:
            with self._alone:
                socket.send_fds(self._asking, [json.dumps(request).encode()], [*files, theirs])
                pid = int(self._asking.recv(32))
        finally:
            os.close(theirs)
            os.close(nothing)
        return WarmProcess(pid, status)


@cache
def _with_libraries() -> _Parent:
    return _Parent()


@cache
def _with_engine() -> _Parent:
    return _Parent(of=_with_libraries())


def _parent_for(env: Mapping[str, str]) -> _Parent:
    if any(name.startswith(_READ_BEFORE_IMPORT) for name in env):
        return _with_libraries()
    return _with_engine()


def start(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: File,
    stderr: File,
    new_session: bool = False,
) -> Started:
    """Start `python -m ARGUMENTS` with nothing on its input."""
    parent = _parent_for(env)
    if _spoken(env) == _spoken(parent.environ):
        streams = (subprocess.DEVNULL, stdout, stderr)
        return parent.fork(arguments, cwd, env, streams, new_session=new_session)
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=new_session,
    )


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Run `python -m ARGUMENTS`; returns its exit code and what it has written.

    Like `subprocess.run`, it waits until nobody holds the process's streams any more.

    Raises:
        subprocess.TimeoutExpired: It took longer, and was killed.
    """
    pipes = [os.pipe(), os.pipe()]
    process = start(arguments, cwd=cwd, env=env, stdout=pipes[0][1], stderr=pipes[1][1])
    for _, theirs in pipes:
        os.close(theirs)
    try:
        out, err = _read_to_end([ours for ours, _ in pipes], time.monotonic() + timeout)
        return process.wait(timeout), out, err
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise subprocess.TimeoutExpired(list(arguments), timeout) from None
    finally:
        for ours, _ in pipes:
            os.close(ours)


def _read_to_end(files: Sequence[int], give_up: float) -> list[str]:
    found = dict.fromkeys(files, b"")
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0, give_up - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired("", 0)
            for key, _ in ready:
                read = os.read(key.fd, 1 << 16)
                found[key.fd] += read
                if not read:
                    selector.unregister(key.fd)
    return [text.decode().replace("\r\n", "\n") for text in found.values()]


def _spoken(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environ.items() if name.startswith(_READ_AT_START)}
