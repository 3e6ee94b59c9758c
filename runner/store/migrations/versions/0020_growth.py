"""What keeps listings, retention and runs cheap while their number grows."""

from headrace.store.migrations import run_sql

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the table of plans and the indexes of listings."""
    run_sql("0020_growth.sql")
