"""VacuumTable: reclaim dead rows and refresh statistics."""

from collections.abc import Iterator
from typing import Any

from jobs.base import BaseJob, execute, logger
from runner.template import Preview, RenderedSql


class VacuumTable(BaseJob):
    """Run VACUUM on a table. It cannot run in a transaction; repeating it does no harm.

    Parameters:
        table: the table, with its schema.
        analyze: also refresh the planner's statistics.
        full: rewrite the table to its smallest size; locks out readers meanwhile.
    """

    transactional = False

    def __init__(self, table: str, analyze: bool = True, full: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table, self.analyze, self.full = table, analyze, full

    def handle(self) -> None:
        logger.info("Vacuuming %s", self.table)
        statement = self._statement()
        with self.autocommit() as connection:
            execute(connection, statement)
        logger.info("Vacuumed %s", self.table)

    def preview(self) -> Iterator[Preview]:
        yield Preview(self._statement(), self.connection)

    def _statement(self) -> RenderedSql:
        return self.sql("vacuum_table", table=self.table, analyze=self.analyze, full=self.full)
