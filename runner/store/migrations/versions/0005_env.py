"""Environment variables of a step's job."""

from headrace.store.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    run_sql("0005_env.sql")
