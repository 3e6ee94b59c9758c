"""An index of what waits."""

from headrace.store.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the index."""
    run_sql("0002_waiting.sql")
