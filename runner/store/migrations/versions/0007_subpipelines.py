"""Steps that run another pipeline, and which run was started by which."""

from headrace.store.migrations import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns."""
    run_sql("0007_subpipelines.sql")
