"""RebuildIndex: rebuild an index, or all of a table's."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.template import Preview, RenderedSql, quote_identifier

if TYPE_CHECKING:
    from sqlalchemy import Connection


class RebuildIndex(BaseJob):
    """Run REINDEX. It cannot run in a transaction; it is safe to repeat.

    If `concurrently` is true, it first drops the invalid indexes (`…_ccnew`) that a stopped
    attempt has left. It fails if a rebuilt index cannot be used.

    Parameters:
        index: one index, with its schema.
        table: a table, all of whose indexes are rebuilt. Give one of the two.
        concurrently: do not block readers and writers meanwhile; takes longer.
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
        what = self.index or f"all indexes of {self.table}"
        statement = self._statement()
        with self.autocommit(patient=self.concurrently) as connection:
            if self.concurrently:
                self._drop_leftovers(connection)
            logger.info("Rebuilding %s", what)
            execute(connection, statement)
            invalid = self._named(connection, "rebuild_invalid")
        if invalid:
            raise JobFailure(
                f"after REINDEX these indexes cannot be used: {', '.join(invalid)}; "
                "drop and create them again"
            )

    def _drop_leftovers(self, connection: "Connection") -> None:
        """Drop what earlier attempts, stopped on their way, have left: writers keep it up."""
        for index in self._named(connection, "rebuild_leftovers"):
            logger.info("Dropping %s, left by a stopped REINDEX", index)
            drop = self.sql("drop_index_concurrently", index=RenderedSql(index, {}))
            execute(connection, drop)

    def _named(self, connection: "Connection", template: str) -> list[str]:
        names = {
            "index": self.index and quote_identifier(self.index),
            "table": self.table and quote_identifier(self.table),
        }
        return [str(name) for name in execute(connection, self.sql(template, **names)).scalars()]

    def preview(self) -> Iterator[Preview]:
        yield Preview(self._statement(), self.connection)

    def _statement(self) -> RenderedSql:
        return self.sql(
            "rebuild_index", index=self.index, table=self.table, concurrently=self.concurrently
        )
