"""What an entry of the audit trail has made or changed, in a column of its own."""

from headrace.store.migrations import run_sql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add the column; rows of before keep their ids in `path`, where listings find them."""
    run_sql("0024_concerns.sql")
