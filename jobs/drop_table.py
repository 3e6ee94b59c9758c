"""DropTable: remove a table."""

from collections.abc import Iterator
from typing import Any, ClassVar

from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.template import Preview, RenderedSql, quote_identifier


class DropTable(BaseJob):
    """Remove a table.

    The result is `{table, dropped_with}`: `dropped_with` names the objects that were dropped
    with it; `headrace plan` shows them beforehand if the database answers.

    Parameters:
        table: the table, with its schema: `auth.users`.
        if_exists: do not fail if the table does not exist.
        cascade: also remove the views and foreign keys that depend on it.
    """

    result_keys: ClassVar = {"table": str, "dropped_with": list}
    tables_written = ("table",)

    def __init__(
        self, table: str, if_exists: bool = False, cascade: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.if_exists = if_exists
        self.cascade = cascade

    def handle(self) -> dict[str, Any]:
        logger.info("Dropping table %s", self.table)
        with self.session() as session:
            dropped = [row.name for row in execute(session, self._dropped_with())]
            execute(session, self._statement())
        if dropped:
            logger.warning("Dropped with %s: %s", self.table, ", ".join(dropped))
        logger.info("Table %s dropped successfully", self.table)
        return {"table": self.table, "dropped_with": dropped}

    def preview(self) -> Iterator[Preview]:
        touches = self._dropped_with() if self.cascade else None
        yield Preview(self._statement(), self.connection, touches=touches, touching="it also drops")

    def _statement(self) -> RenderedSql:
        return self.sql(
            "drop_table", table=self.table, if_exists=self.if_exists, cascade=self.cascade
        )

    def _dropped_with(self) -> RenderedSql:
        return self.sql("dropped_with", table=quote_identifier(self.table))
