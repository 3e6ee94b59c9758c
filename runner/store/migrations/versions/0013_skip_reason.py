"""Reason of a skipped job, and the time at which a run was cancelled."""

from headrace.store.migrations import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the columns."""
    run_sql("0013_skip_reason.sql")
