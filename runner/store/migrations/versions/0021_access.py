"""Who may do what, and who did what."""

from headrace.store.migrations import run_sql

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the tables of tokens, sessions and the audit trail; what is there stays as it is."""
    run_sql("0021_access.sql")
