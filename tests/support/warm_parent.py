"""The parent of `warm_python`'s processes: imports what they will need, then forks them.

Its standard input is a socket. Each message there is a request with four files: the three streams,
and a pipe for the status once the process has ended. The socket's end ends all of them. With the
argument `engine` it imports Headrace's own modules, too; such a parent is itself forked from one
that has the libraries.
"""

import atexit
import gc
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module, reload
from pathlib import Path
from typing import Any, NoReturn

# What Headrace's processes import of others. One that is missing is imported where it is used.
LIBRARIES = (
    "alembic.command alembic.config asyncio concurrent.futures croniter ctypes email.message"
    " fastapi fastapi.responses http.client http.server importlib.metadata jinja2.sandbox"
    " jsonschema multiprocessing prometheus_client psycopg2.extras pyarrow.csv pyarrow.parquet"
    " pydantic pytest redis rq.worker rq.command simplejson"
    " sqlalchemy.dialects.postgresql.psycopg2 sqlalchemy.orm sqlglot ssl starlette.staticfiles"
    " subprocess tempfile urllib3 uuid uvicorn yaml zoneinfo"
)
_REQUEST_BYTES = 1 << 18
# Modules that read a variable as they are imported, and the name that others import of them.
_READ_AT_IMPORT = {
    "headrace.engine.attempts.attempt_hooks": ("HEADRACE_HOOK_LIMIT_S", "LIMIT_S"),
    "headrace.engine.attempts.unknown_jobs": ("HEADRACE_UNKNOWN_CLASS_WAITS_S", "WAITS_S"),
    "headrace.engine.operations.glance": ("HEADRACE_LEASE_S", "SILENCE_S"),
    "headrace.store.crash_points": ("HEADRACE_CRASH_POINT", ""),
}
_LEFT_OUT = (
    "headrace.__main__",
    # What takes the prefix of RQ's keys from the environment.
    "headrace.queue.commands",
    "headrace.queue.registered_worker",
    "headrace.queue.worker",
    "headrace.store.migrations.",
    "headrace.testing",
)


def main() -> None:
    """Serve; what comes back from it is a new process, which becomes the module it is to run."""
    sys.path[0] = str(Path.cwd())  # this file's folder has an `http` of its own
    for name in LIBRARIES.split():
        with suppress(ImportError):
            import_module(name)
    if "engine" in sys.argv:
        _import_headrace()
    gc.collect()
    gc.freeze()
    request, streams = Parent(socket.socket(fileno=0)).serve()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    _open_streams(unbuffered=bool(os.environ.get("PYTHONUNBUFFERED")))
    if request["new_session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    _read_anew()
    module, *_ = sys.argv = request["arguments"]
    sys.path[0] = request["cwd"]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _exit(ended)
    _exit(SystemExit(0))


def _read_anew() -> None:
    """Have the modules that were imported before the fork read their variables."""
    for name, (variable, told) in _READ_AT_IMPORT.items():
        if variable not in os.environ or (module := sys.modules.get(name)) is None:
            continue
        reload(module)  # The functions that others have of it see what it reads now.
        for other, found in sys.modules.items():
            if other.startswith("headrace.") and told in vars(found):
                setattr(found, told, getattr(module, told))


def _exit(ended: SystemExit) -> NoReturn:
    """Do what runs at exit, and leave the objects to the kernel.

    The interpreter would take a thousand modules apart, all of whose pages are the parent's until
    one writes to them: that takes longer than most commands.
    """
    if not isinstance(ended.code, int | None):
        raise ended
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # it waits for the threads
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except OSError:
        # Nobody reads the stream: the interpreter has a status of its own for that.
        raise ended from None
    os._exit((ended.code or 0) & 0xFF)


def _import_headrace() -> None:
    """Import all modules but those that look at the process as they are imported."""
    import headrace

    for module in pkgutil.walk_packages(headrace.__path__, "headrace."):
        if not module.name.startswith(_LEFT_OUT):
            import_module(module.name)


def _open_streams(*, unbuffered: bool) -> None:
    """Make the three anew as the interpreter does: what it found out concerns other files."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        fresh = io.TextIOWrapper(
            open(  # noqa: SIM115 - closed by whoever closes the process
                number,
                "wb" if number else "rb",
                buffering=0 if unbuffered and number else -1,
                closefd=False,
            ),
            encoding=before.encoding,
            errors=before.errors,
            newline="\n" if number else None,
            line_buffering=number == 2 or os.isatty(number),
            write_through=unbuffered and bool(number),
        )
        setattr(sys, name, fresh)
        setattr(sys, f"__{name}__", fresh)


class Parent:
    def __init__(self, asked: socket.socket) -> None:
        self._asked = asked
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._statuses: dict[int, int] = {}
        self._parents: set[int] = set()

    def serve(self) -> tuple[dict[str, Any], list[int]]:
        """Fork for each request, and return in each new process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker)
        while True:
            ready, _, _ = select.select([self._asked.fileno(), self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._asked.fileno() in ready:
                message, files, _, _ = socket.recv_fds(self._asked, _REQUEST_BYTES, 4)
                if not message:
                    self._end()
                request = json.loads(message)
                pid = os.fork()
                if pid == 0:
                    self._leave(files.pop())
                    return request, files
                if request["parent"]:
                    self._parents.add(pid)
                self._statuses[pid] = files.pop()
                for file in files:
                    os.close(file)
                self._asked.send(str(pid).encode())

    def _leave(self, status: int) -> None:
        """Leave nothing of the parent's in a process that was forked."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._asked.close()
        for file in (status, self._woken, self._waker, *self._statuses.values()):
            os.close(file)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pipe = self._statuses.pop(ended[0])
                with suppress(BrokenPipeError):
                    os.write(pipe, ended[1].to_bytes(4, "big"))
                os.close(pipe)

    def _end(self) -> None:
        # A parent hears the end of a socket of its own, and has processes to end.
        for pid in self._statuses.keys() - self._parents:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os._exit(0)


if __name__ == "__main__":
    main()
