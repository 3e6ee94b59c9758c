"""DropTable: remove a table."""

from typing import Any

from jobs.base import BaseJob, execute, logger


class DropTable(BaseJob):
    """Remove a table.

    Parameters:
        table: the table, with its schema: `auth.users`.
        if_exists: a table that is not there is no error.
        cascade: also remove the views and foreign keys that depend on it.
    """

    def __init__(
        self, table: str, if_exists: bool = False, cascade: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.if_exists = if_exists
        self.cascade = cascade

    def handle(self) -> None:
        logger.info("Dropping table %s", self.table)
        statement = self.sql(
            "drop_table", table=self.table, if_exists=self.if_exists, cascade=self.cascade
        )
        with self.session() as session:
            execute(session, statement)
        logger.info("Table %s dropped successfully", self.table)
