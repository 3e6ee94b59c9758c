"""Limits on how many runs and jobs run at a time, and steps that run after the others."""

from headrace.store.migrations import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns."""
    run_sql("0004_runs.sql")
