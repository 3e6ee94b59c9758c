"""Who is told of runs, when they are late, and the outbox of notifications."""

from headrace.store.migrations import run_sql

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the outbox, and the trigger that writes to it where a run ends."""
    run_sql("0022_notifications.sql")
