"""Other databases than the control database: their sessions, for jobs and for repairs."""

from collections.abc import Sequence
from typing import Any

import psycopg2
from sqlalchemy import Engine, event

from headrace.model.connection import NamedConnection
from headrace.store.connect import engine_of, make_engine
from headrace.store.database import SqlTransaction
from headrace.store.outages import reported
from headrace.store.session_settings import Use, Wanted, milliseconds, quoted_name
from headrace.store.session_state import PREPARED, reset
from headrace.store.statements import STATEMENTS


def target_engine(connection: NamedConnection, worker: str) -> Engine:
    """Return the engine for a worker's jobs on a named connection.

    Raises:
        ConfigError: Its URL is none of PostgreSQL's.
    """
    more = {}
    if connection.lock_timeout_s is not None:
        more["lock_timeout"] = milliseconds(connection.lock_timeout_s)
    if connection.statement_timeout_s is not None:
        more["statement_timeout"] = milliseconds(connection.statement_timeout_s)
    if connection.timezone is not None:
        more["timezone"] = connection.timezone
    if connection.search_path is not None:
        more["search_path"] = ", ".join(map(quoted_name, connection.search_path))
    wanted = Wanted(Use.TARGET, f"headrace:{worker}", more)
    engine = engine_of(connection.url, wanted, pool_size=1, max_overflow=-1)
    event.listen(engine, "checkin", _clean)
    return engine


def keep_quiet(raw: Any, _record: Any) -> None:
    """Have transactions begin and end in messages of ours, on a connection for attempts' ones."""
    raw.be_quiet()
    with raw.plain() as cursor:
        cursor.execute(";".join(STATEMENTS[name].prepare for name in PREPARED))
    raw.prepared = True


def _clean(raw: Any, _record: Any) -> None:
    """Leave nothing in the session of what a job has set, for the next one that gets it."""
    if raw is None:
        return
    if raw.quiet and not raw.well:
        # A job has brought the driver back to its own ways.
        raw.close()
        return
    try:
        if raw.quiet:
            if not raw.in_order:
                raw.end("ROLLBACK", reset(prepared=True) + raw.settings_sql)
            return
        # SQLAlchemy takes READ ONLY back as READ WRITE, against what role or database say; the
        # isolation of a snapshot likewise.
        raw.readonly = None
        raw.isolation_level = None
        raw.autocommit = True
        with raw.plain() as cursor:
            cursor.execute(reset(prepared=False) + raw.settings_sql)
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
            row = SqlTransaction(connection).row("terminate_backends", application_names=names)
            return int(row["count"]) if row else 0
    finally:
        engine.dispose()
