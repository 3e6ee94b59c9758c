"""Lists what a job may change in its process and what can be restored: one `Aspect` for each.

They are looked at after each job: nothing is copied or made for a look, and what is dear to see is
noted where it is changed.
"""

import _locale
import decimal
import gc
import locale
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from typing import Any

from headrace.engine.workers.resource_limits import Limits

# Straight from C: the wrappers, which make enumerations of numbers, cost ten times the look.
_in_c: Any = import_module("_signal")
_getitimer, _getsignal, _sigmask = _in_c.getitimer, _in_c.getsignal, _in_c.pthread_sigmask

_SIGNALS = sorted(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
_TIMERS = tuple(map(int, (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)))
_HOOKS = ("stdout", "stderr", "stdin", "excepthook", "displayhook", "unraisablehook")
_of_sys = attrgetter(*_HOOKS)
_of_decimals = attrgetter("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "traps")


@dataclass(frozen=True, slots=True)
class Aspect:
    """One kind of state; `put` makes it what `read` has returned, None where nothing does.

    What `read` returns may be the state itself; then `keep` makes what it is compared with.
    """

    name: str
    read: Callable[[], Any]
    put: Callable[[Any], object] | None = None
    keep: Callable[[Any], Any] | None = None

    def known(self) -> Any:
        """Return the present state, to be compared with a later one."""
        now = self.read()
        return now if self.keep is None else self.keep(now)


def _environ() -> dict[bytes, bytes]:
    # Undecoded: a name and a value of it are looked at, not read.
    return os.environ._data  # type: ignore[attr-defined, no-any-return]  # noqa: SLF001


def _put_environ(known: dict[bytes, bytes]) -> None:
    zone = os.environ.get("TZ")
    for name in os.environb.keys() - known.keys():
        del os.environb[name]
    os.environb.update(known)
    if zone != os.environ.get("TZ"):
        time.tzset()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _handlers() -> list[Any]:
    return list(map(_getsignal, _SIGNALS))


def _put_handlers(known: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, known, strict=True):
        if handler is not None and _getsignal(number) is not handler:
            signal.signal(number, handler)


def _timers() -> tuple[float, float]:
    _, virtual, prof = _TIMERS
    return _getitimer(virtual)[0], _getitimer(prof)[0]


def _put_timers(_known: Any) -> None:
    for timer in _TIMERS[1:]:
        signal.setitimer(timer, 0)


def _alarm() -> bool:
    """Whether an alarm is set that would ring in the next job."""
    return bool(_getitimer(_TIMERS[0])[0] > 0)


def _hooks() -> Any:
    return _of_sys(sys)


def _put_hooks(known: tuple[Any, ...]) -> None:
    for name, value in zip(_HOOKS, known, strict=True):
        setattr(sys, name, value)


def _path() -> list[str]:
    return sys.path


def _put_path(known: list[str]) -> None:
    sys.path[:] = known


def _interpreter() -> tuple[Any, ...]:
    return (
        sys.getrecursionlimit(),
        sys.getswitchinterval(),
        gc.isenabled(),
        gc.get_threshold(),
        socket.getdefaulttimeout(),
        tempfile.tempdir,
        threading.excepthook,
    )


def _put_interpreter(known: tuple[Any, ...]) -> None:
    sys.setrecursionlimit(known[0])
    sys.setswitchinterval(known[1])
    (gc.enable if known[2] else gc.disable)()
    gc.set_threshold(*known[3])
    socket.setdefaulttimeout(known[4])
    tempfile.tempdir = known[5]
    threading.excepthook = known[6]


_kept_contexts: list[decimal.Context] = []


def _decimal() -> Any:
    return _of_decimals(decimal.getcontext())


def _kept_decimal(_now: Any) -> Any:
    # The traps of a copy: those of the context itself change with it, and end with their context.
    _kept_contexts.append(decimal.getcontext().copy())
    return _of_decimals(_kept_contexts[-1])


def _put_decimal(known: tuple[Any, ...]) -> None:
    *settings, traps = known
    fresh = decimal.Context(*settings)
    for name, wanted in traps.items():
        fresh.traps[name] = wanted
    decimal.setcontext(fresh)


def _made_loggers() -> list[logging.Logger]:
    made = logging.Logger.manager.loggerDict.values()
    return [one for one in made if isinstance(one, logging.Logger)]


_touched: list[bool] = []


def _noted(change: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*given: Any, **named: Any) -> Any:
        _touched.append(True)
        return change(*given, **named)

    return noted


# Each change of a logger is noted: to compare all of them would cost as much as a job.
for _name in ("__setattr__", "addHandler", "removeHandler", "addFilter", "removeFilter"):
    setattr(logging.Logger, _name, _noted(getattr(logging.Logger, _name)))


class _Loggers:
    """The loggers' state. Those that a job's imports make stay as they were made.

    Where no change was noted, those that have handlers or filters are looked at, since their lists
    can be changed by anybody.
    """

    def __init__(self) -> None:
        self._count = 0
        self._loggers: list[logging.Logger] = []
        self._known: list[tuple[Any, ...]] = []
        self._with_lists: list[logging.Logger] = []
        self._known_lists: list[tuple[Any, ...]] = []

    def read(self) -> bool:
        """Whether all loggers are as they were; learn those that are new."""
        count = len(logging.Logger.manager.loggerDict)
        if logging.root.manager.disable:
            return False
        if not _touched and count == self._count:
            return list(map(_of, self._with_lists)) == self._known_lists
        if list(map(_of, self._loggers)) != self._known:
            return False
        if count != self._count:
            self._count = count
            self._learn()
        _touched.clear()
        return True

    def _learn(self) -> None:
        for logger in {logging.root, *_made_loggers()}.difference(self._loggers):
            self._loggers.append(logger)
            level, disabled, propagate, handlers, filters = _of(logger)
            self._known.append((level, disabled, propagate, [*handlers], [*filters]))
        pairs = zip(self._loggers, self._known, strict=True)
        listed = [pair for pair in pairs if pair[0] is logging.root or any(pair[1][3:])]
        self._with_lists = [logger for logger, _ in listed]
        self._known_lists = [known for _, known in listed]

    def put(self, _known: bool) -> None:
        """Make all that are known what they were."""
        logging.disable(logging.NOTSET)
        for logger, known in zip(self._loggers, self._known, strict=True):
            if _of(logger) != known:
                level, logger.disabled, logger.propagate, handlers, filters = known
                logger.setLevel(level)
                logger.handlers[:], logger.filters[:] = handlers, filters


_of = attrgetter("level", "disabled", "propagate", "handlers", "filters")


def _loop() -> object:
    """The event loop that a job has set for this thread, if any."""
    events = sys.modules.get("asyncio.events")
    if events is None:
        return None
    policy = events._event_loop_policy  # noqa: SLF001 - asking in the open way makes a loop
    return getattr(getattr(policy, "_local", None), "_loop", None) if policy else None


def _put_loop(_known: None) -> None:
    sys.modules["asyncio.events"].set_event_loop(None)


def _users() -> tuple[Any, ...]:
    return (os.getresuid(), os.getresgid(), os.getpriority(os.PRIO_PROCESS, 0))


def _put_users(known: tuple[Any, ...]) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, known[-1])


def _put_warnings(known: list[Any]) -> None:
    warnings.filters[:] = known  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001


def _put_locale(known: str) -> None:
    locale.setlocale(locale.LC_ALL, known)


_state_of_loggers, _state_of_limits = _Loggers(), Limits()

ASPECTS = (
    Aspect("another folder", os.getcwd, os.chdir),
    Aspect("environment variables", _environ, _put_environ, dict),
    Aspect("a file mode mask", _umask, os.umask),
    Aspect("resource limits", _state_of_limits.read, _state_of_limits.put, _state_of_limits.learn),
    Aspect("an alarm", _alarm, lambda _known: signal.setitimer(signal.ITIMER_REAL, 0)),
    Aspect("timers", _timers, _put_timers),
    Aspect(
        "blocked signals",
        lambda: _sigmask(signal.SIG_BLOCK, ()),
        lambda known: _sigmask(signal.SIG_SETMASK, known),
    ),
    Aspect("signal handlers", _handlers, _put_handlers),
    Aspect("standard streams and hooks", _hooks, _put_hooks),
    Aspect("a search path", _path, _put_path, list),
    Aspect("settings of the interpreter", _interpreter, _put_interpreter),
    Aspect("a locale", lambda: _locale.setlocale(locale.LC_ALL), _put_locale),
    Aspect("a decimal context", _decimal, _put_decimal, _kept_decimal),
    Aspect("warning filters", lambda: warnings.filters, _put_warnings, list),
    Aspect("loggers", _state_of_loggers.read, _state_of_loggers.put),
    Aspect("an event loop", _loop, _put_loop),
    Aspect("a user or a priority", _users, _put_users),
    Aspect("threads", threading.active_count),
)
