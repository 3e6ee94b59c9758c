"""What has to be done in other databases than the control database, beside the jobs' own work."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, text

from runner.store.connect import make_engine, reported
from runner.store.jobline import JobConnection

_LEDGER = (Path(__file__).parent / "ledger.sql").read_text(encoding="utf-8")
# Any number; only that nobody else takes it.
_LOCK = 1751474532

# A statement whose client was killed ends within a second. Before PostgreSQL 14 it goes on.
_END_WITH_CLIENT = (
    "SELECT set_config('client_connection_check_interval', '1s', false)"
    " WHERE current_setting('server_version_num')::integer >= 140000"
)

_END_SESSIONS = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    " AND usename = current_user AND application_name = ANY (:names)"
)


def target_engine(url: str, worker: str) -> Engine:
    """Return the engine for a worker's jobs on a named connection."""
    engine = make_engine(
        url,
        application_name=f"headrace:{worker}",
        pool_size=1,
        connection_factory=JobConnection,
    )

    @event.listens_for(engine, "connect")
    def _end_with_client(raw: Any, _record: Any) -> None:
        with raw.cursor() as cursor:
            cursor.execute(_END_WITH_CLIENT)
        raw.commit()

    return engine


def make_ledger(engine: Engine) -> None:
    """Make `headrace.ledger` where it is missing.

    In a transaction of its own: the job's may stand open for hours, and others would wait.
    """
    with engine.begin() as connection:
        there = connection.exec_driver_sql("SELECT to_regclass('headrace.ledger') IS NOT NULL")
        if not there.scalar():
            # Two workers may come here together: the second one waits, then finds it made.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            connection.exec_driver_sql(_LEDGER)


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
