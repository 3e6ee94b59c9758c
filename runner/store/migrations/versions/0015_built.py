"""Pipelines as they were read, so that they can stay in force whatever is broken now."""

from headrace.store.migrations import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the column."""
    run_sql("0015_built.sql")
