"""An id for each installation, and what tells versions apart that work side by side."""

from headrace.store.migrations import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the table and the columns."""
    run_sql("0014_installation.sql")
