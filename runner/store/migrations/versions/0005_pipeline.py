"""What the leading daemon runs."""

from runner.store.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table."""
    run_sql("0005_pipeline.sql")
