"""The clock that a job's times are on; what was declared when, and what has been removed."""

from headrace.store.migrations import run_sql

revision = "0012"
down_revision = "0010"


def upgrade() -> None:
    """Add the columns."""
    run_sql("0012_clocks.sql")
