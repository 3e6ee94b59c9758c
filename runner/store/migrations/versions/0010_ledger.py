"""The ledger of effects also in the control database: connections lead there with other roles."""

from headrace.store.migrations import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table where no connection has made it before."""
    run_sql("0010_ledger.sql")
