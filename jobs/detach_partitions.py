"""DetachPartitions: partitions whose time is over leave their table."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.jobs.statements.previews import named_table
from headrace.jobs.tables.partitions import Partition, Partitioned, partitioned, span_of
from headrace.jobs.tables.staging_table import create_schema, lock_name
from headrace.jobs.tables.table_catalog import split_table
from headrace.template import Preview, RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class DetachPartitions(BaseJob):
    """Take partitions whose whole range is older than `retention` out of their table.

    They stay as tables, in their schema or in `retention_schema`, unless
    `retention_keep_table: false` drops them. All are detached or none. The default partition is
    never detached. Readers of the table wait for the moment of the detachment.

    The result is `{detached}`, their names before, `kept`, how many partitions are left, and
    `default_rows`, the number of rows in the default partition, if there is one.

    Parameters:
        table: the partitioned table, with its schema, by range of one column: a date, a time or a
            whole number.
        retention: the age, such as 90d, 8w, `12 months` or `7 years`, counted back from the run's
            logical date; or a number, counted back from the greatest number in the table.
        retention_schema: the schema to move them to; it is created if it is missing.
        retention_keep_table: false drops them, with their rows.
        limit: the greatest number to detach in a run, the oldest first.
    """

    result_keys: ClassVar = {"detached": list[str], "kept": int, "default_rows": int}
    tables_written = ("table",)

    def __init__(
        self,
        table: str,
        retention: str | int,
        retention_schema: str | None = None,
        retention_keep_table: bool = True,
        limit: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        split_table(table)
        if isinstance(retention, int) and retention < 0:
            raise InvalidPayload(f"retention is no negative number: {retention}")
        self.retention = (
            span_of("retention", retention) if isinstance(retention, str) else retention
        )
        if retention_schema is not None and not retention_keep_table:
            raise InvalidPayload("retention_schema is for tables that stay: retention_keep_table")
        if limit is not None and limit < 1:
            raise InvalidPayload(f"limit must be at least 1, not {limit}")
        self.table, self.limit = table, limit
        self.retention_schema, self.keep = retention_schema, retention_keep_table

    def handle(self) -> dict[str, Any]:
        with self.session() as session:
            lock_name(session, self.table)
            table = partitioned(session, self.table)
            if isinstance(self.retention, int) == table.by_time:
                wanted = "an age, as in 90d" if table.by_time else "a number"
                raise JobFailure(
                    f"{table.column} of {self.table} is {table.type}, so retention is {wanted}"
                )
            limit = execute(session, self._limit(table)).scalar()
            there = table.partitions(session, None if limit is None else str(limit))
            old = [one for one in there if one.old][: self.limit]
            if self.retention_schema is not None and old:
                create_schema(session, f"{quote_name(self.retention_schema)}.x")
            for one in old:
                self._detach(session, table, one)
            rest = table.tell_rest(session)
        names = [one.name for one in old]
        done = "Detached" if self.keep else "Dropped"
        logger.info("%s %s", done, ", ".join(names) or "no partition: none is old")
        return {"detached": names, "kept": len(there) - len(old), **rest}

    def _detach(self, session: "Session", table: Partitioned, one: Partition) -> None:
        # By the table's name, which the search path may have left out of the partition's.
        execute(session, self.sql("detach_partition", table=table.sql, partition=one.sql))
        if not self.keep:
            execute(session, self.sql("drop_exactly", table=one.sql))
        elif self.retention_schema is not None:
            move = self.sql("move_to_schema", table=one.sql, schema=self.retention_schema)
            execute(session, move)

    def _limit(self, table: Partitioned) -> RenderedSql:
        now = (jobapi.current().logical_date or datetime.now(UTC)).isoformat()
        return self.sql(
            "retention_limit",
            column=None if table.by_time else table.values["column"],
            type=table.values["type"],
            table=table.sql,
            present=now,
            retention=self.retention,
        )

    def preview(self) -> Iterator[Preview]:
        name = named_table(self.table)
        partition = RenderedSql(f"{name.display}_p…", {})
        yield Preview(
            self.sql("detach_partition", table=name, partition=partition),
            self.connection,
            "for each partition that is older than the retention",
            self.sql("count_rows", table=self.table),
        )
