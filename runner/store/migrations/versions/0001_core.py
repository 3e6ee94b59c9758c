"""The core tables."""

from headrace.store.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    run_sql("0001_core.sql")
