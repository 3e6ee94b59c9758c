"""Formats the log of a process: one plain line, or one JSON object, per event."""

import json
import logging
import sys
import time
from typing import Any, TextIO

from headrace.observe.joblog import JOB_LOGGER
from headrace.observe.records import said
from headrace.observe.redaction import hides, redacted
from headrace.observe.terminal_text import hanging, visible

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_ROLE_WIDTH = 8
_OF_A_JOB = ("job_id", "run_id", "pipeline", "step", "attempt")
_FURTHER = " " * 9 + "| "


def set_up(
    role: str, *, level: str = "info", log_format: str = "text", stream: TextIO | None = None
) -> None:
    """Send this process's log to `stream`, standard output by default.

    `role` says who speaks: `daemon`, `worker 1`, `web`. May be called again, in a process that
    was forked, say.
    """
    # Threads and processes are named nowhere in a line; finding them costs each record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.addFilter(_JobLines(LEVELS[level]))
    handler.setFormatter(JsonLines(role) if log_format == "json" else PlainLines(role))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(LEVELS[level], logging.INFO))
    logging.getLogger("headrace").setLevel(LEVELS[level])
    # What jobs say is kept with their rows, whatever is shown here.
    logging.getLogger(JOB_LOGGER).setLevel(min(LEVELS[level], logging.INFO))
    # What a library says in passing ("Registering birth") is not the user's business.
    for name in ("rq", "alembic", "asyncio", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)


_at_hand: list[Any] = [None]


def at_hand(subject: Any) -> None:
    """Say which attempt (a `Claimed`) this process is about from now on; None: about none."""
    _at_hand[0] = subject


def about(**subject: Any) -> dict[str, Any]:
    """Return what makes a record one about a job, for `extra`."""
    return {"subject": {name: subject.get(name) for name in _OF_A_JOB}}


def _subject(record: logging.LogRecord) -> dict[str, Any]:
    told: dict[str, Any] | None = getattr(record, "subject", None)
    one = _at_hand[0]
    if told is None:
        told = {} if one is None else {name: getattr(one, name) for name in _OF_A_JOB[1:]}
        if one is not None:
            told = {"job_id": one.id, **told}
    shown = {name: str(told[name]) if name.endswith("_id") else told[name] for name in told}
    return {name: value for name, value in shown.items() if told[name] is not None}


def redact_records() -> None:
    """Hide a job's secrets in every record of this process, whoever handles it."""
    made = logging.getLogRecordFactory()

    def redacting(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = made(*args, **kwargs)
        if hides():
            record.msg, record.args = redacted(said(record)), ()
            if record.exc_info:
                text = logging.Formatter().formatException(record.exc_info)
                # What formatters print where it is there already.
                record.exc_text = redacted(text)
        return record

    logging.setLogRecordFactory(redacting)


class _JobLines(logging.Filter):
    """Leaves out what jobs say in passing: `headrace logs` has it. Debugging shows all."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._least = logging.DEBUG if level == logging.DEBUG else max(level, logging.WARNING)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown."""
        return not record.name.startswith(JOB_LOGGER) or record.levelno >= self._least


class PlainLines(logging.Formatter):
    """`DATE TIME+ZONE role message`, in local time; what is more than information says so.

    Further lines of a message are set off, so that no error can make up a line of the log.
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role.ljust(_ROLE_WIDTH)
        self._second, self._clock = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line; a traceback follows on further lines."""
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._clock = time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(second))
        kind = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        text = f"{self._clock} {self._role} {kind}{said(record)}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return hanging(redacted(text), _FURTHER)


class JsonLines(logging.Formatter):
    """One JSON object a line: at (Unix seconds), level, role, logger, message, traceback.

    Where it is about a job: job_id, run_id, pipeline, step, attempt.
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's object."""
        entry: dict[str, Any] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "role": self._role,
            "logger": record.name,
            "message": redacted(said(record)),
            **_subject(record),
        }
        if record.exc_info:
            entry["traceback"] = redacted(self.formatException(record.exc_info))
        return visible(json.dumps(entry, ensure_ascii=False))
