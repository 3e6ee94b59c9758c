"""Queued jobs by their kind, and a history that is deleted without foreign keys."""

from headrace.store.migrations import run_sql

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Change the indexes of queued jobs, and drop the keys of what was triggered."""
    run_sql("0025_queued.sql")
