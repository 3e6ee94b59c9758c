"""What a job changes in its process is seen after it, and put back or told."""

import asyncio
import contextlib
import ctypes
import decimal
import gc
import locale
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.workers import noted_changes, process_aspects
from headrace.engine.workers.job_leftovers import ProcessState, _descriptors
from headrace.engine.workers.resource_limits import Limits
from tests.support.in_fork import in_fork

_logger = logging.getLogger("tests.aspects")
_kept: list[Any] = []


def _set(owner: Any, name: str, value: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """What sets an attribute, and what reads it."""
    return lambda: setattr(owner, name, value), lambda: getattr(owner, name)


def _context(name: str, value: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return (
        lambda: setattr(decimal.getcontext(), name, value),
        lambda: getattr(decimal.getcontext(), name),
    )


def _handler(number: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return lambda: signal.signal(number, _ignore), lambda: signal.getsignal(number)


def _ignore(*_given: Any) -> bool:
    """Be called for whatever it is, and do nothing."""
    return True


def _set_loop() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.close()


def _loop() -> Any:
    return getattr(asyncio.get_event_loop_policy()._local, "_loop", None)  # type: ignore[attr-defined]


def _change_zone() -> None:
    os.environ["TZ"] = "Asia/Kolkata"
    time.tzset()


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _timer(which: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return lambda: signal.setitimer(which, 90), lambda: signal.getitimer(which)


def _list_of_root(name: str, one: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """What changes a list of the root logger itself: nobody is told of that."""
    return (
        lambda: getattr(logging.root, name).append(one),
        lambda: list(getattr(logging.root, name)),
    )


def _locale() -> str:
    return locale.setlocale(locale.LC_ALL)


# Aspect, what a job does, and how a later job would find it.
CASES: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
    ("another folder", lambda: os.chdir("/"), os.getcwd),
    ("environment variables", lambda: os.environ.update(LEFT="1"), lambda: dict(os.environ)),
    ("environment variables", lambda: os.environ.update(HOME="/x"), lambda: dict(os.environ)),
    ("environment variables", lambda: os.environ.pop("PATH"), lambda: dict(os.environ)),
    ("environment variables", _change_zone, lambda: time.localtime(0).tm_min),
    ("a file mode mask", lambda: os.umask(0o771), _mask),
    ("resource limits", _limit_files, lambda: resource.getrlimit(resource.RLIMIT_NOFILE)),
    ("an alarm", lambda: signal.alarm(90), lambda: signal.getitimer(signal.ITIMER_REAL)[0]),
    ("timers", *_timer(signal.ITIMER_VIRTUAL)),
    ("timers", *_timer(signal.ITIMER_PROF)),
    (
        "blocked signals",
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]),
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    ),
    ("signal handlers", *_handler(signal.SIGUSR2)),
    ("signal handlers", *_handler(signal.SIGTERM)),
    *(
        ("standard streams and hooks", *_set(sys, name, _ignore))
        for name in ("stdout", "stderr", "stdin", "excepthook", "displayhook", "unraisablehook")
    ),
    ("a search path", lambda: sys.path.append("/nowhere"), lambda: list(sys.path)),
    ("settings of the interpreter", lambda: sys.setrecursionlimit(4321), sys.getrecursionlimit),
    ("settings of the interpreter", lambda: sys.setswitchinterval(0.5), sys.getswitchinterval),
    ("settings of the interpreter", gc.disable, gc.isenabled),
    ("settings of the interpreter", lambda: gc.set_threshold(7, 8, 9), gc.get_threshold),
    ("settings of the interpreter", lambda: socket.setdefaulttimeout(3), socket.getdefaulttimeout),
    ("settings of the interpreter", *_set(tempfile, "tempdir", "/nowhere")),
    ("settings of the interpreter", *_set(threading, "excepthook", _ignore)),
    ("a locale", lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"), _locale),
    ("a decimal context", *_context("prec", 3)),
    ("a decimal context", *_context("rounding", decimal.ROUND_UP)),
    ("a decimal context", *_context("Emin", -5)),
    ("a decimal context", *_context("Emax", 5)),
    ("a decimal context", *_context("capitals", 0)),
    ("a decimal context", *_context("clamp", 1)),
    (
        "a decimal context",
        lambda: decimal.getcontext().traps.update({decimal.Inexact: True}),
        lambda: dict(decimal.getcontext().traps),
    ),
    ("warning filters", lambda: warnings.simplefilter("error"), lambda: list(warnings.filters)),
    ("loggers", lambda: logging.disable(logging.CRITICAL), lambda: logging.root.manager.disable),
    ("loggers", lambda: _logger.setLevel(logging.ERROR), lambda: _logger.level),
    ("loggers", *_set(_logger, "disabled", True)),
    ("loggers", *_set(_logger, "propagate", False)),
    ("loggers", lambda: _logger.addHandler(logging.NullHandler()), lambda: list(_logger.handlers)),
    ("loggers", lambda: _logger.addFilter(_ignore), lambda: list(_logger.filters)),
    ("loggers", *_list_of_root("handlers", logging.NullHandler())),
    ("loggers", *_list_of_root("filters", _ignore)),
    ("an event loop", _set_loop, _loop),
]  # fmt: skip


@pytest.mark.parametrize(("aspect", "change", "find"), CASES)
def test_each_change_is_seen_and_put_back(
    aspect: str, change: Callable[[], Any], find: Callable[[], Any]
) -> None:
    def job() -> None:
        before = find()
        state = ProcessState()
        state.remember()
        assert state.put_back() == []
        assert find() == before, "a look changes nothing"
        change()
        assert find() != before, aspect

        assert state.put_back() == []

        assert find() == before
        # It has become the state that the next job's changes are compared with.
        assert state.put_back() == []

    in_fork(job)


def _stay_on() -> None:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def _leave_a_deleted_folder() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_stay_on, ["threads"]),
        (lambda: _kept.append(Path(__file__).open()), ["an open file"]),  # noqa: SIM115
        (lambda: _kept.append(subprocess.Popen(["sleep", "60"])), ["processes"]),
        (_leave_a_deleted_folder, ["another folder"]),
        (lambda: os.close(1), ["no file to open, or standard output closed"]),
        # Connections are kept for the next job.
        (lambda: _kept.append(socket.socketpair()), []),
    ],
    ids=["thread", "file", "program", "deleted-folder", "standard-output", "connections"],
)
def test_what_cannot_be_put_back_is_told(change: Callable[[], Any], told: list[str]) -> None:
    def job() -> None:
        state = ProcessState()
        state.remember()
        change()

        assert state.put_back() == told

    in_fork(job)


def test_a_process_that_can_open_no_file_any_more_is_told() -> None:
    def job() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(_descriptors(), default=64) + 20, hard))
        state = ProcessState()
        state.remember()
        with contextlib.suppress(OSError):
            while True:
                _kept.append(Path("/dev/null").open())  # noqa: SIM115

        assert state.put_back() == ["no file to open, or standard output closed"]

    in_fork(job)


def test_a_process_without_asyncio_has_no_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    try:
        assert process_aspects._loop() is loop
        monkeypatch.delitem(sys.modules, "asyncio.events")
        assert process_aspects._loop() is None
    finally:
        monkeypatch.undo()
        asyncio.set_event_loop(None)
        loop.close()


def test_a_logger_that_a_job_has_made_is_kept_as_it_was_made() -> None:
    def job() -> None:
        state = ProcessState()
        state.remember()
        made = logging.getLogger("tests.made.by.a.job")
        made.setLevel(logging.ERROR)
        assert state.put_back() == []
        assert made.level == logging.ERROR
        made.setLevel(logging.DEBUG)

        assert state.put_back() == []

        assert made.level == logging.ERROR

    in_fork(job)


def test_a_garbage_collector_that_was_off_is_off_again() -> None:
    def job() -> None:
        gc.disable()
        state = ProcessState()
        state.remember()
        gc.enable()

        assert state.put_back() == []

        assert not gc.isenabled()

    in_fork(job)


def test_limits_are_looked_at_each_time_only_after_somebody_may_have_changed_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(noted_changes, "_looked_up", [])
    monkeypatch.delitem(sys.modules, "_cffi_backend", raising=False)
    looks: list[int] = []

    def look(_limits: Limits) -> list[tuple[int, int]]:
        looks.append(1)
        return []

    monkeypatch.setattr(Limits, "_now", look)
    limits = Limits()
    limits.learn(True)
    looks.clear()

    ctypes.CDLL(None).prctl  # noqa: B018 - as Headrace's own processes look it up
    for _ in range(15):
        limits.read()
    assert looks == []
    ctypes.CDLL(None).setrlimit  # noqa: B018
    limits.read()
    limits.read()
    assert looks == [1, 1]
