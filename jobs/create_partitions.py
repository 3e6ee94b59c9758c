"""CreatePartitions: the partitions that a table will need next."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.errors.numbers import number_of
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.jobs.statements.previews import named_table
from headrace.jobs.tables.partitions import Partitioned, names_of, partitioned
from headrace.jobs.tables.staging_table import lock_name
from headrace.jobs.tables.table_catalog import find_table, readable_table, split_table
from headrace.model import exact_json
from headrace.template import Preview, RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_MOST = 1000
# The present one, too.
_MOST_AT_ONCE = _MOST + 1
_LONGEST_NAME = 63
_STEPS = {
    "hour": ("1 hour", "YYYYMMDD_HH24MISS"),
    "day": ("1 day", "YYYYMMDD"),
    "week": ("7 days", "YYYYMMDD"),
    "month": ("1 month", "YYYYMMDD"),
    "quarter": ("3 months", "YYYYMMDD"),
    "year": ("1 year", "YYYYMMDD"),
}


class CreatePartitions(BaseJob):
    """Create the present partition of a table and those that come next, if they are missing.

    The table is partitioned by range of one column: a date, a time or a whole number. Its
    partitions are named as pg_partman names them: `sales_p20260101`, `event_p1000000`; indexes,
    defaults and constraints are the table's. Between the last partition and the present one no
    range is left out. All are created or none; readers and writers of the table go on. Times are
    cut in the session's `timezone`.

    The result is `{created}`, their names, and `default_rows`, the number of rows in the default
    partition, if there is one.

    Parameters:
        table: the partitioned table, with its schema.
        interval: what a partition holds: hour, day, week (from Monday on), month, quarter, year;
            or a number, for a column of numbers.
        premake: how many to create after the present one, which is that of the run's logical
            date, or of the greatest number in the table.
        start: the date, time or number of the first one, if earlier ones are needed, too.
        move_default_rows: true moves rows that wait in the default partition to the new ones;
            otherwise such rows fail the step, as PostgreSQL cannot create a partition for them.
    """

    result_keys: ClassVar = {"created": list[str], "default_rows": int}
    tables_written = ("table",)

    def __init__(
        self,
        table: str,
        interval: Literal["hour", "day", "week", "month", "quarter", "year"] | int,
        premake: int = 4,
        start: str | int | None = None,
        move_default_rows: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        split_table(table)
        if isinstance(interval, int) and interval < 1:
            raise InvalidPayload(f"interval must be at least 1, not {interval}")
        if not 0 <= premake <= _MOST:
            raise InvalidPayload(f"premake is a number from 0 to {_MOST}, not {premake}")
        self.table, self.interval, self.premake = table, interval, premake
        self.start, self.move_default_rows = start, move_default_rows

    def handle(self) -> dict[str, Any]:
        with self.session() as session:
            lock_name(session, self.table)
            table = partitioned(session, self.table)
            self._refuse_other_interval(table)
            created = list(self._create(session, table))
            rest = table.tell_rest(session)
        logger.info("Created %s", ", ".join(created) or "no partition: all are there")
        return {"created": created, **rest}

    def _create(self, session: "Session", table: Partitioned) -> Iterator[str]:
        there = table.partitions(session)
        last = there[-1].high if there else None
        missing = self.sql(
            "partitions_missing", partitions=exact_json.dumps(names_of(there)),
            wanted=self._wanted(session, table, last), type=table.values["type"],
        )  # fmt: skip
        wanted = list(execute(session, missing))
        if len(wanted) > _MOST_AT_ONCE:
            raise JobFailure(
                f"{len(wanted)} partitions would be created, which is more than {_MOST_AT_ONCE}: "
                "choose a later start or a longer interval"
            )
        for one in wanted:
            if one.name is not None:
                raise JobFailure(
                    f"a partition from {one.low} to {one.high} would overlap {one.name} (from "
                    f"{one.its_low} to {one.its_high}): choose the interval of those that are there"
                )
            yield self._add(session, table, one)

    def _add(self, session: "Session", table: Partitioned, wanted: Any) -> str:
        name = f"{table.name}_p{wanted.suffix}"
        if len(name.encode()) > _LONGEST_NAME:
            raise JobFailure(
                f"{name} is longer than the {_LONGEST_NAME} bytes that a name can have"
            )
        partition = RenderedSql(f"{quote_name(table.schema)}.{quote_name(name)}", {})
        if find_table(session, partition.display) is not None:
            raise JobFailure(
                f"{table.schema}.{name} is there and no partition of {self.table} (detached, "
                "perhaps): rename, move or drop it, or choose a later start"
            )
        bounds = {"low": wanted.low, "high": wanted.high}
        waiting = table.rows_of_rest(session, **bounds)
        if waiting and not self.move_default_rows:
            raise JobFailure(
                f"{table.rest}, the default partition, has {waiting} rows from {wanted.low} to "
                f"{wanted.high}, so that no partition can be created for them: set "
                "move_default_rows: true"
            )
        execute(session, self.sql("create_partition", partition=partition, table=table.sql))
        if waiting:
            columns = [
                c.name for c in readable_table(session, self.table).columns if not c.generated
            ]
            rest = RenderedSql(table.rest or "", {})
            move = self.sql("move_to_partition", partition=partition, rest=rest, columns=columns,
                            **bounds, **table.values)  # fmt: skip
            execute(session, move)
            rows = number_of(waiting, "row")
            logger.info("Moved %s from %s to %s", rows, table.rest, partition.display)
        execute(
            session,
            self.sql("attach_partition", table=table.sql, partition=partition, **bounds),
        )
        return f"{table.schema}.{name}"

    def _wanted(self, session: "Session", table: Partitioned, last: str | None) -> RenderedSql:
        start = None if self.start is None else str(self.start)
        values: dict[str, Any] = {"first": start, "last": last, "premake": self.premake}
        if isinstance(self.interval, int):
            statement = self.sql("greatest_number", table=table.sql, **table.values)
            present = execute(session, statement).scalar()
            values |= {"unit": None, "step": self.interval, "present": present}
        else:
            step, pattern = _STEPS[self.interval]
            now = jobapi.current().logical_date or datetime.now(UTC)
            values |= {"unit": self.interval, "step": step, "pattern": pattern}
            values |= {"present": now.isoformat()}
        return self.sql("partitions_wanted", type=table.values["type"], **values)

    def _refuse_other_interval(self, table: Partitioned) -> None:
        if isinstance(self.interval, int) == table.by_time or (
            self.interval == "hour" and table.type == "date"
        ):
            wanted = "day, week, month, quarter or year" if table.by_time else "a number"
            raise JobFailure(
                f"{table.column} of {self.table} is {table.type}, so interval is {wanted}"
            )

    def preview(self) -> Iterator[Preview]:
        name = named_table(self.table)
        partition = RenderedSql(f"{name.display}_p…", {})
        yield Preview(
            self.sql("create_partition", partition=partition, table=name),
            self.connection,
            "for each partition that is missing, which is attached then",
            self.sql("count_rows", table=self.table),
        )
