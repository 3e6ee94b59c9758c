"""Poolers between us and PostgreSQL: only those that keep a session for one client will do.

PgBouncer in transaction mode lends a server's session for a transaction at a time. What is set in
a session, prepared in it or listened for there would be another client's a moment later.
"""

import time
from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ

from headrace.errors import ConfigError
from headrace.store.readiness import is_ready

_PATIENCE_S = 2.0
_LOOKS = 3
_PID = "SELECT pg_catalog.pg_backend_pid()"

_known: set[tuple[tuple[str, Any], ...]] = set()


def refuse_transaction_mode(raw: Any, arguments: Mapping[str, Any]) -> None:
    """Refuse a pooler that does not keep the open session `raw` for it; asked once a process.

    Raises:
        ConfigError: The sessions are shared.
    """
    place = tuple(sorted((name, str(value)) for name, value in arguments.items()))
    if place in _known:
        return
    if any(_shared(raw, arguments) for _ in range(_LOOKS)):
        raise ConfigError(
            "the database is reached through a pooler that shares sessions (PgBouncer's"
            " pool_mode = transaction or statement); Headrace needs sessions of its own: set"
            " pool_mode = session for this database, or name PostgreSQL's own port"
        )
    _known.add(place)


def _shared(raw: Any, arguments: Mapping[str, Any]) -> bool:
    """Return whether a second client in a transaction gets or displaces the first one's session."""
    before = _pid(raw)
    second = _in_transaction(arguments)
    return before in (second, None) or _pid(raw) != before


def _pid(raw: Any) -> int | None:
    with raw.plain() as cursor:
        cursor.execute(_PID)
        row = cursor.fetchone()
        return None if row is None else int(row[0])


def _in_transaction(arguments: Mapping[str, Any]) -> int | None:
    """Return what serves a second client's transaction; None where none comes to serve it.

    A pool in session mode may have no second session to give: this does not wait for one.
    """
    try:
        second = psycopg2.connect(**arguments, async_=1)
    except psycopg2.Error:
        return None
    give_up = time.monotonic() + _PATIENCE_S
    try:
        if not _answered(second, give_up):
            return None
        with second.cursor() as cursor:
            cursor.execute("BEGIN; " + _PID)
            return int(cursor.fetchone()[0]) if _answered(second, give_up) else None
    except psycopg2.Error as error:
        # PgBouncer's statement mode refuses transactions by this name.
        if "pooling mode" in str(error):
            raise ConfigError(f"the database's pooler refuses transactions: {error}") from None
        return None
    finally:
        second.close()


def _answered(connection: Any, give_up: float) -> bool:
    while (state := connection.poll()) != POLL_OK:
        left_s = give_up - time.monotonic()
        to_write = state != POLL_READ
        if left_s <= 0 or not is_ready(connection.fileno(), within_s=left_s, to_write=to_write):
            return False
    return True
