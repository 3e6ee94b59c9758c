"""Runs that start when runs of other pipelines have ended."""

from headrace.store.migrations import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the tables and the index."""
    run_sql("0008_triggers.sql")
