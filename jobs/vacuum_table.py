"""VacuumTable: reclaim dead rows and refresh statistics."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.template import Preview, RenderedSql, quote_identifier

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Tables, materialised views, TOAST tables, partitioned tables.
_VACUUMED = ("r", "m", "t", "p")


class VacuumTable(BaseJob):
    """Run VACUUM on a table. It cannot run in a transaction; it is safe to repeat.

    It fails if PostgreSQL would skip the table: only its owner may vacuum it.

    Parameters:
        table: the table, with its schema.
        analyze: also refresh the planner's statistics.
        full: rewrite the table to its smallest size; readers are blocked meanwhile.
    """

    transactional = False

    def __init__(self, table: str, analyze: bool = True, full: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table, self.analyze, self.full = table, analyze, full

    def handle(self) -> None:
        statement = self._statement()
        with self.autocommit() as connection:
            self._refuse_skipped(connection)
            logger.info("Vacuuming %s", self.table)
            execute(connection, statement)
        logger.info("Vacuumed %s", self.table)

    def _refuse_skipped(self, connection: "Connection") -> None:
        """Refuse what PostgreSQL would skip with a warning only."""
        version = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
        rights = self.sql(
            "vacuum_rights", table=quote_identifier(self.table), maintain=int(version) >= 170000
        )
        found = list(execute(connection, rights))
        if not found:
            raise JobFailure(f"there is no table {self.table}")
        own = next(one for one in found if one.itself)
        if own.kind not in _VACUUMED:
            raise JobFailure(f"{self.table} is not a table: VACUUM would skip it")
        parts = [one for one in found if one.kind != "p"] or found
        skipped = [one.name for one in parts if not one.allowed]
        if len(skipped) == len(parts):
            raise JobFailure(
                f"only the owner of {self.table} may vacuum it: VACUUM would skip it; "
                "connect as the owner, or GRANT MAINTAIN (PostgreSQL 17)"
            )
        if skipped:
            logger.warning(
                "VACUUM skips %d of %d partitions, which belong to others: %s",
                len(skipped), len(parts), ", ".join(skipped),
            )  # fmt: skip

    def preview(self) -> Iterator[Preview]:
        yield Preview(self._statement(), self.connection)

    def _statement(self) -> RenderedSql:
        return self.sql("vacuum_table", table=self.table, analyze=self.analyze, full=self.full)
