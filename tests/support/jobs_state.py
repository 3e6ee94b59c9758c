"""Jobs that change the process they run in, and one that tells how it finds it."""

import asyncio
import ctypes
import decimal
import locale
import logging
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from headrace import jobapi
from headrace.jobs import BaseJob

_files: list[object] = []
_logger = logging.getLogger("tests.left")


def _change_folder() -> None:
    os.chdir("/")


def _change_environment() -> None:
    os.environ["LEFT_BEHIND"] = "yes"
    os.environ.pop("PYTHONPATH", None)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _limit_in_c() -> None:
    limits = (ctypes.c_ulong * 2)(64, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert ctypes.CDLL(None).setrlimit(resource.RLIMIT_NOFILE, limits) == 0


def _silence_loggers() -> None:
    logging.disable(logging.CRITICAL)
    logging.getLogger("headrace.job").disabled = True
    logging.getLogger().handlers.clear()


def _replace_streams() -> None:
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123


def _trap_decimals() -> None:
    decimal.getcontext().prec = 2
    decimal.getcontext().traps[decimal.Inexact] = True


def _set_loop() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.close()


def _be_deaf() -> None:
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGALRM))


CHANGES = {
    "folder": _change_folder,
    "environment": _change_environment,
    "umask": lambda: os.umask(0o777),
    "limits": _limit,
    "limits in C": _limit_in_c,
    "alarm": lambda: signal.alarm(1),
    "signals": _be_deaf,
    "search path": lambda: sys.path.insert(0, "/nowhere"),
    "streams": _replace_streams,
    "loggers": _silence_loggers,
    "level": lambda: _logger.setLevel(logging.ERROR),
    "no propagation": lambda: setattr(_logger, "propagate", False),
    "no logger": lambda: setattr(_logger, "disabled", True),
    "handler": lambda: _logger.addHandler(logging.NullHandler()),
    "filter": lambda: _logger.addFilter(logging.Filter("none")),
    "no handlers": logging.getLogger().handlers.clear,
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    "decimals": _trap_decimals,
    "warnings": lambda: warnings.simplefilter("error"),
    "loop": _set_loop,
    "random": lambda: random.seed(1),
    "timeout": lambda: socket.setdefaulttimeout(0.001),
    "nice": lambda: os.nice(5),
    "thread": lambda: threading.Thread(target=time.sleep, args=(60,), daemon=True).start(),
    "program": lambda: subprocess.Popen(["sleep", "600"]),
    "file": lambda: _files.append(Path(__file__).open()),  # noqa: SIM115
}


class ChangingJob(BaseJob):
    """Makes the changes that it is told, and returns the pid of its process."""

    def __init__(self, changes: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes = changes

    def handle(self) -> Any:
        for name in self.changes:
            change: Any = CHANGES[name]
            change()
        return os.getpid()


class StateJob(BaseJob):
    """Returns what it finds in its process, and whether it can be heard there."""

    def handle(self) -> Any:
        logging.getLogger("headrace.job").info("logged")
        print("printed")
        warnings.warn("warned", stacklevel=1)
        mask = os.umask(0)
        os.umask(mask)
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        policy = asyncio.get_event_loop_policy()
        return {
            "folder": str(Path.cwd()),
            "environment": dict(os.environ),
            "umask": mask,
            "limits": [resource.getrlimit(which) for which in range(resource.RLIM_NLIMITS)]
            if hasattr(resource, "RLIM_NLIMITS")
            else [resource.getrlimit(resource.RLIMIT_NOFILE)],
            "alarm": signal.getitimer(signal.ITIMER_REAL)[0] > 0.5,
            "signals": [_name(signal.getsignal(number)) for number in (15, 14, 17)],
            "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            "search path": [one for one in sys.path if "nowhere" in one],
            "streams": [type(sys.stdout).__name__, type(sys.stderr).__name__],
            "logger": [_logger.level, _logger.disabled, _logger.propagate],
            "handlers": [len(one.handlers) for one in (_logger, logging.getLogger())],
            "filters": len(_logger.filters),
            "locale": locale.setlocale(locale.LC_ALL),
            "decimals": str(decimal.Decimal(1) / decimal.Decimal(3)),
            "loop": getattr(getattr(policy, "_local", None), "_loop", None) is not None,
            "seeded": random.random() == random.Random(1).random(),
            "timeout": socket.getdefaulttimeout(),
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "children": len(children.split()),
            "files": sum("jobs_state.py" in _target(fd) for fd in Path("/proc/self/fd").iterdir()),
            "attempt": jobapi.current().attempt,
        }


def _name(handler: Any) -> str:
    return getattr(handler, "__qualname__", str(handler))


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


class ForkingJob(BaseJob):
    """Forks, and returns in both processes; with `effect` inside its session."""

    def __init__(self, effect: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.effect = effect

    def handle(self) -> Any:
        from tests.support.jobs_effects import _INSERT

        values = {"id": jobapi.current().job_id, "attempt": jobapi.current().attempt, "tag": ""}
        if not self.effect:
            return self._fork()
        with self.session() as session:
            session.execute(_INSERT, values)
            return self._fork()

    def _fork(self) -> int:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return pid


class RaisingJob(BaseJob):
    """Ends in one of the odd ways in which a job can end."""

    def __init__(self, how: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.how = how

    def handle(self) -> Any:
        if self.how == "key":
            return dict[str, int]()["missing"]
        if self.how == "cause":
            try:
                return dict[str, int]()["missing"]
            except KeyError as error:
                raise ValueError("no such region") from error
        if self.how == "exit":
            sys.exit(0)
        if self.how == "mute":
            raise _Mute
        if self.how == "format":
            logging.getLogger("headrace.job").info("%d rows", "12")
        return "done"


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class PickyJob(BaseJob):
    """Its constructor does not take what it is given."""

    def __init__(self, n: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = n + 1

    def handle(self) -> Any:
        return self.n


class TidyJob(BaseJob):
    """Waits, and leaves a file when it is stopped; with `deaf` it catches that and goes on."""

    def __init__(
        self, reached: str, tidied: str, deaf: bool = False, statement: str = "", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.reached, self.tidied, self.deaf = reached, tidied, deaf
        self.statement = statement

    def handle(self) -> Any:
        from sqlalchemy import text

        try:
            Path(self.reached).touch()
            if self.statement:
                with self.session() as session:
                    session.execute(text(self.statement))
            time.sleep(60)
        except BaseException:
            if not self.deaf:
                raise
            time.sleep(60)
        finally:
            time.sleep(0.2)
            Path(self.tidied).touch()


class SignalJob(BaseJob):
    """Ignores SIGTERM, says by `reached` that it runs, and ends once `go` exists."""

    def __init__(self, reached: str, go: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reached, self.go = reached, go

    def handle(self) -> Any:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path(self.reached).touch()
        while not Path(self.go).exists():
            time.sleep(0.01)


class NoticingJob(BaseJob):
    """Has the server say something before it sleeps."""

    def handle(self) -> Any:
        from sqlalchemy import text

        with self.session() as session, jobapi.notices_heard() as heard:
            session.execute(
                text(
                    "DO $$ BEGIN RAISE NOTICE 'noticed'; RAISE WARNING 'warned';"
                    " PERFORM pg_sleep(4); END $$"
                )
            )
        return heard


class TalkingJob(BaseJob):
    """Says many lines within two seconds."""

    def __init__(self, lines: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lines = lines

    def handle(self) -> Any:
        logger = logging.getLogger("headrace.job")
        for number in range(1, self.lines + 1):
            logger.info("line %d", number)
            if number % (self.lines // 10) == 0:
                time.sleep(0.2)
