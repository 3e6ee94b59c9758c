"""Other databases than the control database: their sessions, for jobs and for repairs."""

from collections.abc import Sequence
from typing import Any

import psycopg2
from sqlalchemy import Engine, event, text

from runner.model.connection import NamedConnection
from runner.store.connect import engine_of, make_engine, reported
from runner.store.session_settings import Use, Wanted
from runner.store.session_state import RESET

_END_SESSIONS = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    " AND usename = current_user AND application_name = ANY (:names)"
)


def target_engine(connection: NamedConnection, worker: str) -> Engine:
    """Return the engine for a worker's jobs on a named connection.

    Raises:
        ConfigError: Its URL is none of PostgreSQL's.
    """
    more = {}
    if connection.lock_timeout_s is not None:
        more["lock_timeout"] = f"{connection.lock_timeout_s * 1000:.0f}ms"
    if connection.timezone is not None:
        more["timezone"] = connection.timezone
    wanted = Wanted(Use.TARGET, f"headrace:{worker}", more)
    engine = engine_of(connection.url, wanted, pool_size=1)
    event.listen(engine, "checkin", _clean)
    return engine


def _clean(raw: Any, _record: Any) -> None:
    """Leave nothing in the session of what a job has set, for the next one that gets it."""
    if raw is None:
        return
    try:
        raw.autocommit = True
        with raw.plain() as cursor:
            cursor.execute(RESET + raw.settings_sql)
        raw.autocommit = False
    except psycopg2.Error:
        # A new session is clean as well: the pool replaces a closed one.
        raw.close()


def end_sessions(url: str, workers: Sequence[str]) -> int:
    """End what dead or paused workers still hold open in a database; returns how many.

    Raises:
        StoreUnavailable: The database does not answer.
    """
    engine = make_engine(url, application_name="headrace:recovery", pool_size=1, short=True)
    try:
        with reported(), engine.begin() as connection:
            names = [f"headrace:{worker}" for worker in workers]
            return int(connection.execute(_END_SESSIONS, {"names": names}).scalar() or 0)
    finally:
        engine.dispose()
