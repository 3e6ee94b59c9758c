"""AnalyzeTable: refresh the planner's statistics."""

from collections.abc import Iterator
from typing import Any, ClassVar

from headrace.errors import InvalidPayload
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.jobs.statements.previews import named_table
from headrace.jobs.tables.maintenance import maintained, refuse_both
from headrace.jobs.tables.server_progress import watched
from headrace.template import Preview, RenderedSql


class AnalyzeTable(BaseJob):
    """Run ANALYZE on a table, or on all tables of a schema, each by itself; safe to repeat.

    It fails if the role may analyse none of them; those of others are named in the log. The
    result is `{tables}`, their names.

    Parameters:
        table: the table, with its schema.
        schema: a schema, all of whose tables are analysed. Give one of the two.
        columns: the columns of the table to analyse. Default: all.
    """

    transactional = False
    result_keys: ClassVar = {"tables": list[str]}

    def __init__(
        self,
        table: str | None = None,
        schema: str | None = None,
        columns: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        refuse_both("AnalyzeTable", table, schema)
        if columns and table is None:
            raise InvalidPayload("columns are those of a table: name it")
        self.table, self.schema, self.columns = table, schema, columns or []

    def handle(self) -> dict[str, list[str]]:
        with self.autocommit() as connection:
            # A partitioned table has statistics of its own, beside those of its partitions.
            by_root = self.schema is not None
            found = maintained(connection, self.table, self.schema, "analyze", roots=by_root)
            names = (
                [named_table(self.table)] if self.table is not None else [one.sql for one in found]
            )
            for name in names:
                logger.info("Analyzing %s", name.display)
                with watched(connection):
                    execute(connection, self._statement(name))
        return {"tables": [name.display for name in names]}

    def preview(self) -> Iterator[Preview]:
        if self.table is not None:
            yield Preview(self._statement(named_table(self.table)), self.connection)

    def _statement(self, table: RenderedSql) -> RenderedSql:
        return self.sql("analyze_table", table=table, columns=self.columns)
