"""Conditions on steps, and steps that may fail."""

from headrace.store.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    run_sql("0003_language.sql")
