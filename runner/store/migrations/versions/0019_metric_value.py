"""The history of metric checks."""

from headrace.store.migrations import run_sql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the table."""
    run_sql("0019_metric_value.sql")
