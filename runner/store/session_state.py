"""Resets the state that a job may have left in a session of our own statements.

A job's SQL may change its role, its search path, its timeouts, and more, and what is recorded in
its transaction comes after that.
"""

from typing import TYPE_CHECKING, Any

from headrace.store.session_settings import OWN_SEARCH_PATH

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Sent ahead of the bookkeeping, in one message with it. The path comes before the statement that
# uses functions, and that one asks first: who is no superuser may not even reset this setting.
IN_ORDER = (
    "SET statement_timeout = 0; SET lock_timeout = 0; RESET SESSION AUTHORIZATION; RESET ROLE;"
    f" SET search_path = {OWN_SEARCH_PATH};"
    " RESET default_transaction_read_only; RESET default_transaction_deferrable;"
    " SET default_transaction_isolation = 'read committed';"
    " SELECT set_config('session_replication_role', 'origin', false)"
    " WHERE current_setting('session_replication_role') <> 'origin'; "
)

# What one job sets in its session must not be there for the next one. Prepared statements are
# left alone: ours are among them.
RESET = (
    "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP;"
    " DISCARD SEQUENCES; SELECT pg_catalog.pg_advisory_unlock_all(); "
)


def execute(opened: "Connection", commands: str) -> None:
    """Send commands of ours beside SQLAlchemy, whose listeners watch over those of jobs."""
    raw: Any = opened.connection.dbapi_connection
    if commands:
        with raw.plain() as cursor:
            cursor.execute(commands)
