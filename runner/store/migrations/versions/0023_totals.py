"""Totals of what has ended, for the counters and histograms of /metrics."""

from headrace.store.migrations import run_sql

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the totals and the indexes by which ended rows are found."""
    run_sql("0023_totals.sql")
