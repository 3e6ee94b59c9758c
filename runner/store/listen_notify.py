"""Hearing at once of what the leading daemon has to do, not at its next tick.

A few statements ring, those that leave something which only the daemon can do; no ordinary
completion does, since transactions that notify commit one after the other. Whoever does not
hear it (a pooler may swallow it) looks once a second anyway.
"""

import logging
import threading
import time
from collections.abc import Callable

import psycopg2

from headrace.errors import StoreUnavailable
from headrace.store.connect import connect_raw
from headrace.store.readiness import is_ready

log = logging.getLogger("headrace.daemon")

_LOOK_S = 5.0
_PAUSE_S = 1.0


def listen(database_url: str, *, application_name: str, heard: Callable[[], None]) -> None:
    """Call `heard` whenever the bell has been rung, in a thread that ends with the process."""

    def live() -> None:
        while True:
            try:
                _listen(database_url, application_name, heard)
            except (psycopg2.Error, StoreUnavailable) as error:
                log.debug("%s; the bell is not heard for a while", error)
            time.sleep(_PAUSE_S)

    threading.Thread(target=live, name="bell", daemon=True).start()


def _listen(database_url: str, application_name: str, heard: Callable[[], None]) -> None:
    raw = connect_raw(database_url, application_name=application_name)
    try:
        with raw.cursor() as cursor:
            cursor.execute("LISTEN headrace_bell")
        while True:
            is_ready(raw.fileno(), within_s=_LOOK_S)
            raw.poll()
            if raw.notifies:
                raw.notifies.clear()
                heard()
    finally:
        raw.close()
