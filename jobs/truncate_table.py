"""TruncateTable: empty a table."""

from typing import Any

from jobs.base import BaseJob, execute, logger


class TruncateTable(BaseJob):
    """Empty a table and restart its sequences.

    Parameters:
        table: the table, with its schema: `auth.users`.
        cascade: also empty the tables whose foreign keys point to it.
    """

    def __init__(self, table: str, cascade: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.cascade = cascade

    def handle(self) -> None:
        logger.info("Truncating table %s", self.table)
        statement = self.sql("truncate_table", table=self.table, cascade=self.cascade)
        with self.session() as session:
            execute(session, statement)
        logger.info("Table %s truncated successfully", self.table)
