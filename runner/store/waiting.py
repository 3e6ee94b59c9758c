"""Looking up while PostgreSQL lets this process wait.

The driver waits for an answer without an end, and a server that is paused sends none and breaks
no connection: over a Unix socket nothing ever times out, over TCP the server's kernel keeps the
line alive. A process that has more to do than to wait has itself asked in the meantime.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg2
from psycopg2.extensions import (
    POLL_OK,
    POLL_READ,
    STATUS_BEGIN,
    STATUS_PREPARED,
    STATUS_READY,
    parse_dsn,
    set_wait_callback,
)

from headrace.errors import StoreUnavailable
from headrace.store.connect import connect_raw
from headrace.store.readiness import is_ready

Look = Callable[[float], float | None]
"""Is told how many seconds the wait has taken; returns how many more it may take before it is
asked again, or None to give up the connection. Must not use the database."""

# An answer that comes at once costs no look.
_AT_ONCE_S = 0.05
_CONNECT_S = 5.0
# A server may think about a statement for as long as it likes if it answers others.
_PATIENCE_S = 5.0
_PROBE_S = 2.0

_OPEN = (STATUS_READY, STATUS_BEGIN, STATUS_PREPARED)
_limits = threading.local()


class NoAnswer(psycopg2.OperationalError):
    """The wait for the server was given up, and the connection with it."""


def look_up(look: Look) -> None:
    """Have `look` called during each wait for PostgreSQL in this process, on any connection."""
    set_wait_callback(partial(_wait, look))


def look_no_more() -> None:
    """Wait as the driver does: in a process forked from one that looks up, say."""
    set_wait_callback(None)


def give_up_silent_servers(database_url: str) -> None:
    """Have each wait end with an error soon after the server has ceased to answer anybody.

    After a few seconds without an answer it is asked for a new connection. If it gives one, it
    is at work on the statement, and the wait goes on.
    """
    look_up(partial(_look, database_url))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let no single wait of this thread in the block take longer; see `give_up_silent_servers`."""
    _limits.seconds = seconds
    try:
        yield
    finally:
        _limits.seconds = None


def _look(database_url: str, waited_s: float) -> float | None:
    limit_s = getattr(_limits, "seconds", None)
    if limit_s is not None:
        return limit_s - waited_s if waited_s < limit_s else None
    if waited_s < _PATIENCE_S:
        return _PATIENCE_S - waited_s
    return _PATIENCE_S if _answers(database_url) else None


def _answers(database_url: str) -> bool:
    """Return whether the server says anything at all to a newcomer, be it that there is no room."""
    try:
        with within(_PROBE_S):
            connect_raw(database_url, application_name="headrace:probe").close()
    except StoreUnavailable as error:
        return not isinstance(error.__cause__, NoAnswer)
    return True


def _wait(look: Look, connection: Any) -> None:
    """Wait for one answer on a connection; the driver closes it where this raises."""
    began = time.monotonic()
    # The driver leaves its own limit on connecting to whoever waits himself.
    most_s = math.inf if connection.status in _OPEN else _connect_limit_s(connection.dsn)
    pause_s = _AT_ONCE_S
    while (state := connection.poll()) != POLL_OK:
        while not _ready(connection, state, pause_s):
            waited_s = time.monotonic() - began
            more_s = look(waited_s) if waited_s < most_s else None
            if more_s is None:
                raise NoAnswer(f"no answer within {waited_s:.1f} s")
            pause_s = min(more_s, most_s - waited_s)


def _connect_limit_s(dsn: str) -> float:
    """Return what libpq would wait for a connection: `connect_timeout` for each host."""
    said = parse_dsn(dsn)
    each_s = float(said.get("connect_timeout") or _CONNECT_S)
    hosts = 1 + str(said.get("host", "")).count(",")
    return hosts * (each_s if each_s > 0 else math.inf)


def _ready(connection: Any, state: int, pause_s: float) -> bool:
    """Wait for the connection's socket; return whether it has become ready within `pause_s`."""
    return is_ready(connection.fileno(), within_s=pause_s, to_write=state != POLL_READ)
