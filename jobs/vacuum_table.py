"""VacuumTable: reclaim dead rows and refresh statistics."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.jobs.statements.previews import named_table
from headrace.jobs.tables.maintenance import Need, maintained, refuse_both
from headrace.jobs.tables.server_progress import watched
from headrace.template import Preview, RenderedSql

if TYPE_CHECKING:
    from sqlalchemy import Connection


class VacuumTable(BaseJob):
    """Run VACUUM on a table, or on the tables of a schema; outside a transaction, safe to repeat.

    It fails if PostgreSQL would skip all of it: only its owner may vacuum a table. The result is
    `{tables}`, the names of those that were vacuumed.

    Parameters:
        table: the table, with its schema.
        schema: a schema, all of whose tables are vacuumed, one by one. Give one of the two.
        analyze: also refresh the planner's statistics.
        full: rewrite the table to its smallest size; readers are blocked meanwhile.
        min_dead: vacuum only tables with so many dead rows, as PostgreSQL counts them: a number,
            or a share such as 20%.
        min_age: vacuum only tables whose oldest row is so many transactions old. With `min_dead`,
            one of the two is enough.
    """

    transactional = False
    result_keys: ClassVar = {"tables": list[str]}

    def __init__(
        self,
        table: str | None = None,
        analyze: bool = True,
        full: bool = False,
        *,
        schema: str | None = None,
        min_dead: int | str | None = None,
        min_age: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        refuse_both("VacuumTable", table, schema)
        self.table, self.schema, self.analyze, self.full = table, schema, analyze, full
        self.need = Need.of(min_dead, min_age)

    def handle(self) -> dict[str, list[str]]:
        with self.autocommit() as connection:
            names = [one.display for one in self._vacuum(connection)]
        logger.info("Vacuumed %s", ", ".join(names) or "nothing: no table needs it")
        return {"tables": names}

    def _vacuum(self, connection: "Connection") -> Iterator[RenderedSql]:
        """Vacuum table by table and yield the name of each that is done."""
        found = maintained(connection, self.table, self.schema, "vacuum")
        if self.table is not None and self.need == Need():
            names = [named_table(self.table)]
        else:
            names = [one.sql for one in found if self.need.has(one)]
        for name in names:
            logger.info("Vacuuming %s", name.display)
            with watched(connection):
                execute(connection, self._statement(name))
            yield name

    def preview(self) -> Iterator[Preview]:
        if self.table is not None:
            note = "" if self.need == Need() else "if it needs it"
            name = named_table(self.table)
            yield Preview(self._statement(name), self.connection, note)

    def _statement(self, table: RenderedSql) -> RenderedSql:
        return self.sql("vacuum_named", table=table, analyze=self.analyze, full=self.full)
