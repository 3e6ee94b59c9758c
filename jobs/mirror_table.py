"""MirrorTable: a full copy of a table."""

from collections.abc import Iterator
from typing import Any

from jobs.base import BaseJob, logger
from jobs.previews import of_stage_table, of_store
from jobs.staging import stage_table
from jobs.tables import store_staged
from runner.template import Preview


class MirrorTable(BaseJob):
    """Make one table hold exactly another's rows, also across databases.

    The rows are staged first; the target changes in one step when the job commits, and is
    created where it is missing. The result is `{row_count, table}`.

    Parameters:
        source_table: the table or view to copy.
        target_table: the table to fill.
        columns: the columns to copy; default all.
        source_connection: the database of the source; default `connection`.
        target_connection: the database of the target; default `connection`.
    """

    result_keys = ("row_count", "table")

    def __init__(
        self,
        source_table: str,
        target_table: str,
        columns: list[str] | None = None,
        source_connection: str | None = None,
        target_connection: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_table, self.target_table = source_table, target_table
        self.columns = columns
        self.source_connection = source_connection or self.connection
        self.target_connection = target_connection or self.connection

    def handle(self) -> dict[str, Any]:
        logger.info("Mirroring %s into %s", self.source_table, self.target_table)
        with self.session(self.target_connection) as target:
            stage_table(
                self,
                target,
                self.source_table,
                self.columns,
                source_connection=self.source_connection,
                target_connection=self.target_connection,
            )
            count = store_staged(target, self.target_table)
        logger.info("Mirrored %d rows into %s", count, self.target_table)
        return {"row_count": count, "table": self.target_table}

    def preview(self) -> Iterator[Preview]:
        source, target = self.source_connection, self.target_connection
        yield from of_stage_table(self.source_table, self.columns, source, target)
        yield from of_store(self.target_table, target)
