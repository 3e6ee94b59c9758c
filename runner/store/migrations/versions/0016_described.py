"""What workers have loaded, a key for runs, and what tables mean for who reads them by SQL."""

from headrace.store.migrations import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column and the comments."""
    run_sql("0016_described.sql")
