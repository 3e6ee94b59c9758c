"""Checks whether PostgreSQL accepts writes, without leaving anything behind."""

from psycopg2 import errorcodes
from sqlalchemy.exc import OperationalError

from headrace.store.database import SqlTransaction


def demand_writes(tx: SqlTransaction) -> None:
    """Do what fails where rows could not be written: the server is read-only, or its disk full.

    The error is one that `Database.transaction` reports as `StoreUnavailable`.
    """
    tx.rows("refuse_read_only")
    try:
        with tx.connection.begin_nested():
            tx.rows("spill_soon")
            tx.rows("spill")
    except OperationalError as error:
        # The role's temp_file_limit: it says nothing of the disk.
        if getattr(error.orig, "pgcode", None) != errorcodes.CONFIGURATION_LIMIT_EXCEEDED:
            raise
