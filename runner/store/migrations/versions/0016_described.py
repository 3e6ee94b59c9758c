"""What workers have loaded, and what the tables and columns mean, for who reads them with SQL."""

from runner.store.migrations import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column and the comments."""
    run_sql("0016_described.sql")
