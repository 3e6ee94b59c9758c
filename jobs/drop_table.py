"""DropTable: remove a table."""

from collections.abc import Iterator
from typing import Any

from jobs.base import BaseJob, execute, logger
from runner.template import Preview, RenderedSql


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
        statement = self._statement()
        with self.session() as session:
            execute(session, statement)
        logger.info("Table %s dropped successfully", self.table)

    def preview(self) -> Iterator[Preview]:
        yield Preview(self._statement(), self.connection)

    def _statement(self) -> RenderedSql:
        return self.sql(
            "drop_table", table=self.table, if_exists=self.if_exists, cascade=self.cascade
        )
