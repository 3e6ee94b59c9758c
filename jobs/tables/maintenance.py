"""Finds the tables that a maintenance job works on: one with its partitions, or a schema's."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import InvalidPayload, JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import find_table, with_article
from headrace.template import RenderedSql, quote_identifier

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class Maintained:
    """A table to maintain; `name` is quoted by the server. `age` is in transactions."""

    kind: str
    name: str
    allowed: bool
    dead: int
    known: int
    age: int

    @property
    def sql(self) -> RenderedSql:
        """Its name for a statement."""
        return RenderedSql(self.name, {})


@dataclass(frozen=True, slots=True)
class Need:
    """When a table needs work: at least so many dead rows, such a share of them, or so old."""

    rows: int | None = None
    share: float | None = None
    age: int | None = None

    @classmethod
    def of(cls, min_dead: int | str | None, min_age: int | None) -> "Need":
        """Read `min_dead` (a number of rows, or a share such as 20%) and `min_age`.

        Raises:
            InvalidPayload: one of them is anything else.
        """
        for name, value in (("min_dead", min_dead), ("min_age", min_age)):
            if isinstance(value, int) and value < 1:
                raise InvalidPayload(f"{name} must be at least 1, not {value}")
        if not isinstance(min_dead, str):
            return cls(min_dead, None, min_age)
        match = _SHARE.fullmatch(min_dead.strip())
        if match is None:
            raise InvalidPayload(
                f"min_dead is a number of rows or a share such as 20%, not {min_dead!r}"
            )
        return cls(None, float(match[1]) / 100, min_age)

    def has(self, table: Maintained) -> bool:
        """Return whether a table needs work; without any condition each does."""
        if self == Need():
            return True
        return (
            (self.rows is not None and table.dead >= self.rows)
            or (
                self.share is not None and table.dead > 0 and table.dead >= self.share * table.known
            )
            or (self.age is not None and table.age >= self.age)
        )


def refuse_both(job: str, table: str | None, schema: str | None) -> None:
    """Refuse a job that names neither a table nor a schema, or both.

    Raises:
        InvalidPayload: saying so.
    """
    if (table is None) == (schema is None):
        raise InvalidPayload(f"{job} takes either table or schema")


def _refuse_missing(connection: "Connection", table: str | None, what: str) -> None:
    if table is None:
        raise JobFailure(f"{what} is missing, or has no tables")
    there = find_table(connection, table)
    if there is None:
        raise JobFailure(f"there is no table {table}")
    if there.kind != "p":  # Of a partitioned one, only the partitions are missing.
        what = with_article(there.what)
        raise JobFailure(f"{table} is not a table but {what}: PostgreSQL would skip it")


def maintained(
    connection: "Connection",
    table: str | None,
    schema: str | None,
    verb: str,
    *,
    roots: bool = False,
) -> list[Maintained]:
    """Return the tables that the role may maintain; the others are named in the log.

    With `roots` partitioned tables stand for their partitions. There may be none yet.

    Raises:
        JobFailure: there is none, or the role may maintain none of them.
    """
    version = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
    statement = packaged_sql(
        "maintainable",
        table=None if table is None else quote_identifier(table),
        schema=schema,
        maintain=int(version) >= 170000,
        roots=roots,
    )
    found = [Maintained(**row) for row in execute(connection, statement).mappings()]
    what = table or f"the schema {schema}"
    if not found:
        _refuse_missing(connection, table, what)
        return []
    skipped = [one.name for one in found if not one.allowed]
    if len(skipped) == len(found):
        raise JobFailure(
            f"only its owner may {verb} {what}: PostgreSQL would skip it; "
            "connect as the owner, or GRANT MAINTAIN (PostgreSQL 17)"
        )
    if skipped:
        logger.warning(
            "Left out %d of %s, which belong to others: %s",
            len(skipped), number_of(len(found), "table"), ", ".join(skipped),
        )  # fmt: skip
    return [one for one in found if one.allowed]
