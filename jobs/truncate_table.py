"""TruncateTable: empty a table."""

from collections.abc import Iterator
from typing import Any

from jobs.base import BaseJob, execute, logger
from runner.template import Preview, RenderedSql


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
        statement = self._statement()
        with self.session() as session:
            execute(session, statement)
        logger.info("Table %s truncated successfully", self.table)

    def preview(self) -> Iterator[Preview]:
        yield Preview(self._statement(), self.connection)

    def _statement(self) -> RenderedSql:
        return self.sql("truncate_table", table=self.table, cascade=self.cascade)
