"""Rules for the columns of a job that cost less to hold."""

from headrace.store.migrations import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make domains of the constraints."""
    run_sql("0009_domains.sql")
