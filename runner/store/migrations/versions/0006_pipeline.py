"""Definitions that the active daemon runs."""

from headrace.store.migrations import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table."""
    run_sql("0006_pipeline.sql")
