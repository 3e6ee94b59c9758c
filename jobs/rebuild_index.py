"""RebuildIndex: rebuild an index, or all of a table's."""

from collections.abc import Iterator
from typing import Any

from jobs.base import BaseJob, execute, logger
from runner.errors import InvalidPayload
from runner.template import Preview, RenderedSql


class RebuildIndex(BaseJob):
    """Run REINDEX. It cannot run in a transaction; repeating it does no harm.

    Parameters:
        index: one index, with its schema.
        table: a table, all of whose indexes are rebuilt. Give one of the two.
        concurrently: let readers and writers go on meanwhile; takes longer.
    """

    transactional = False

    def __init__(
        self,
        index: str | None = None,
        table: str | None = None,
        concurrently: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (index is None) == (table is None):
            raise InvalidPayload("RebuildIndex takes either index or table")
        self.index, self.table, self.concurrently = index, table, concurrently

    def handle(self) -> None:
        logger.info("Rebuilding %s", self.index or f"all indexes of {self.table}")
        statement = self._statement()
        with self.autocommit() as connection:
            execute(connection, statement)

    def preview(self) -> Iterator[Preview]:
        yield Preview(self._statement(), self.connection)

    def _statement(self) -> RenderedSql:
        return self.sql(
            "rebuild_index", index=self.index, table=self.table, concurrently=self.concurrently
        )
