"""TruncateTable: empty a table."""

from collections.abc import Iterator
from typing import Any, ClassVar

from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.template import Preview, RenderedSql, quote_identifier


class TruncateTable(BaseJob):
    """Empty a table and restart its sequences.

    The result is `{table, emptied}`: `emptied` lists all tables that were emptied;
    `headrace plan` shows them beforehand if the database answers.

    Parameters:
        table: the table, with its schema: `auth.users`.
        cascade: also empty the tables whose foreign keys refer to it, those whose foreign keys
            refer to them, and so on. `false` fails if there are any.
    """

    result_keys: ClassVar = {"table": str, "emptied": list}
    tables_written = ("table",)

    def __init__(self, table: str, cascade: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.cascade = cascade

    def handle(self) -> dict[str, Any]:
        logger.info("Truncating table %s", self.table)
        with self.session() as session:
            execute(session, self._statement())
            # Afterwards all of them are locked, and the list is what has happened.
            emptied = [row.name for row in execute(session, self._emptied())]
        if len(emptied) > 1:
            logger.warning("%d tables were emptied: %s", len(emptied), ", ".join(emptied))
        logger.info("Table %s truncated successfully", self.table)
        return {"table": self.table, "emptied": emptied}

    def preview(self) -> Iterator[Preview]:
        yield Preview(
            self._statement(), self.connection, touches=self._emptied(), touching="it empties"
        )

    def _statement(self) -> RenderedSql:
        return self.sql("truncate_table", table=self.table, cascade=self.cascade)

    def _emptied(self) -> RenderedSql:
        return self.sql("emptied_tables", table=quote_identifier(self.table), cascade=self.cascade)
