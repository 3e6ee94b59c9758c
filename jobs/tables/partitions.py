"""Looks at tables that are partitioned by range of one column: of time, or of numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import InvalidPayload, JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.template import RenderedSql, quote_identifier, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_TIMES = ("date", "timestamp without time zone", "timestamp with time zone")
_NUMBERS = ("smallint", "integer", "bigint")
_SPAN = re.compile(r"(\d{1,5})\s*(h|d|w|hours?|days?|weeks?|months?|years?)", re.ASCII)
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition; `name` is quoted by the server, its bounds are None where there is none."""

    name: str
    bare: str
    low: str | None
    high: str | None
    old: bool = False

    @property
    def sql(self) -> RenderedSql:
        """Its name for a statement."""
        return RenderedSql(self.name, {})


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table by range of one column; `rest` is its default partition, None without one."""

    written: str
    oid: int
    schema: str
    name: str
    column: str
    type: str
    rest: str | None

    @property
    def sql(self) -> RenderedSql:
        """Its qualified name, quoted."""
        return RenderedSql(f"{quote_name(self.schema)}.{quote_name(self.name)}", {})

    @property
    def by_time(self) -> bool:
        """Whether the column is a date or a time."""
        return self.type in _TIMES

    @property
    def values(self) -> dict[str, RenderedSql]:
        """Its column and type for a statement."""
        return {"column": RenderedSql(self.column, {}), "type": RenderedSql(self.type, {})}

    def partitions(self, session: "Session", limit: str | None = None) -> list[Partition]:
        """Return its partitions but the default one, lowest first; `old` ones end by `limit`."""
        type_ = RenderedSql(self.type, {})
        statement = packaged_sql("partitions", oid=self.oid, type=type_, limit=limit)
        return [Partition(**row) for row in execute(session, statement).mappings()]

    def rows_of_rest(self, session: "Session", low: str | None = None, high: str = "") -> int:
        """Return how many rows the default partition has, at all or of a range."""
        if self.rest is None:
            return 0
        rest = RenderedSql(self.rest, {})
        statement = packaged_sql("rows_in_range", table=rest, low=low, high=high, **self.values)
        return int(execute(session, statement).scalar_one())

    def tell_rest(self, session: "Session") -> dict[str, int]:
        """Return the part of a result that tells the default partition's rows; warn of them."""
        if self.rest is None:
            return {}
        count = self.rows_of_rest(session)
        if count:
            logger.warning("%s, the default partition, has %s that no other takes", self.rest,
                           number_of(count, "row"))  # fmt: skip
        return {"default_rows": count}


def partitioned(session: "Session", table: str) -> Partitioned:
    """Return a table by range of one column of time or of whole numbers.

    Raises:
        JobFailure: it is missing, or another one.
    """
    statement = packaged_sql("partitioned_table", table=quote_identifier(table))
    found = execute(session, statement).first()
    if found is None:
        raise JobFailure(f"there is no table {table}")
    if not found.partitioned:
        raise JobFailure(f"{table} is not partitioned: CREATE TABLE … PARTITION BY RANGE (…) is")
    if found.strategy != "r" or found.column is None or found.type not in (*_TIMES, *_NUMBERS):
        raise JobFailure(
            f"{table} is not partitioned by range of one column of a date, a time or a whole number"
        )
    return Partitioned(
        table, found.oid, found.schema, found.name, found.column, found.type, found.rest
    )


def span_of(name: str, given: str) -> str:
    """Return an age such as 90d or `12 months` as PostgreSQL reads it.

    Raises:
        InvalidPayload: it is none.
    """
    found = _SPAN.fullmatch(given.strip())
    if found is None:
        raise InvalidPayload(
            f"{name} is an age, as in 90d, 8w, 12 months or 7 years, not {given!r}"
        )
    return f"{found[1]} {_UNITS.get(found[2], found[2])}"


def names_of(partitions: Sequence[Partition]) -> list[dict[str, Any]]:
    """Return partitions with their bounds, for a statement."""
    return [{"name": one.name, "low": one.low, "high": one.high} for one in partitions]
