"""Writes rows into a table of another database: added, in place of others, or by key."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from headrace.errors import JobFailure
from headrace.jobapi import Answer, OtherDatabase, logger
from headrace.jobs.others.dialect import STAGED, Dialect, OtherColumn, OtherTable
from headrace.jobs.others.dialects import dialect_of
from headrace.jobs.others.pg_types import family_of, goes_into
from headrace.jobs.others.reading import Row
from headrace.jobs.others.value_fitting import Fit, Unfit, fit_of, told
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.expectations import NOTHING_EXPECTED, Expectation
from headrace.jobs.tables.table_catalog import Column
from headrace.template import RenderedSql, quote_name

Mode = Literal["append", "replace", "merge", "insert_only"]

_BATCH_ROWS = 2000
# Characters: MySQL takes 16 MB in one statement, unless it is told otherwise.
_BATCH_SIZE = 2_000_000


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows have come, and what became of them."""

    read: int
    inserted: int
    updated: int = 0
    deleted: int = 0


@dataclass(slots=True)
class OtherTarget:
    """A table, and how rows get there. `columns` are the source's, in PostgreSQL's types.

    `key` has the columns that identify a row where rows are written by key.
    """

    database: OtherDatabase
    table: str
    columns: Sequence[Column]
    key: Sequence[str] = ()
    mode: Mode = "append"
    deletes: bool = False
    expect: Expectation = NOTHING_EXPECTED
    source: str = ""
    _fits: list[Fit] = field(default_factory=list)

    def write(self, rows: Iterable[Row]) -> Written:
        """Write all rows, or none; a table that is missing is made.

        Raises:
            JobFailure: a row does not fit.
        """
        dialect = dialect_of(self.database)
        found = dialect.table(self.database, self.table)
        if found is None:
            found = self._made(dialect)
        dialect.check_writable(self.database, found)
        into = self._matched(dialect, found)
        self._fits = [
            fit_of(self.database.kind, column.type, own.type or "text")
            for column, own in zip(self.columns, into, strict=True)
        ]
        if self.mode in ("merge", "insert_only"):
            return self._by_key(dialect, found, into, rows)
        before = self._count(found) if self.mode == "replace" else 0
        if self.mode == "replace":
            self._run("other_delete_all", target=RenderedSql(found.sql, {}))
        count = self._poured(found.sql, rows)
        self.expect.check_rows(count, self.table)
        self.expect.check_deleted(max(0, before - count), before, self.table)
        return Written(count, count)

    # -- the table --------------------------------------------------------------------

    def _made(self, dialect: Dialect) -> OtherTable:
        """Make the table, in the job's transaction where the database can."""
        columns = []
        for column in self.columns:
            in_key = column.name in self.key
            native = dialect.made_as(column.type, in_key=in_key)
            if dialect.zones_are_lost and family_of(column.type) == "timestamptz":
                logger.info("%s.%s: times are stored in UTC", self.table, column.name)
            not_null = " NOT NULL" if column.not_null or in_key else ""
            columns.append(f"{quote_name(column.name)} {native}{not_null}")
        if self.key:
            columns.append(f"PRIMARY KEY ({', '.join(map(quote_name, self.key))})")
        body = RenderedSql(", ".join(columns), {})
        self.database.define(packaged_sql("create_typed", table=self.table, body=body))
        logger.info("Created the table %s in %s", self.table, self.database.name)
        found = dialect.table(self.database, self.table)
        assert found is not None, "the table was just made"
        return found

    def _matched(self, dialect: Dialect, found: OtherTable) -> list[OtherColumn]:
        """Return the table's columns for the source's.

        Raises:
            JobFailure: one is missing, or cannot take the values.
        """
        there = {column.name.lower(): column for column in found.columns}
        matched = []
        for column in self.columns:
            own = there.get(column.name.lower())
            if own is None:
                names = ", ".join(one.name for one in found.columns)
                raise JobFailure(
                    f"{self.table} has no column {column.name!r}, which {self.source} has; it"
                    f" has: {names}"
                )
            fits = own.type is not None and goes_into(
                column.type, own.type, zones_are_lost=dialect.zones_are_lost
            )
            if not fits or own.generated:
                what = "is generated" if own.generated else f"has the type {own.native}"
                raise JobFailure(
                    f"{self.table}.{own.name} {what}, which cannot take values of {column.type}"
                )
            matched.append(own)
        taken = {column.name for column in matched}
        for own in found.columns:
            if own.name not in taken and own.not_null and not own.has_default:
                raise JobFailure(
                    f"{self.table}.{own.name} needs a value, and {self.source} has no such column"
                )
        return matched

    # -- rows -------------------------------------------------------------------------

    def _by_key(
        self,
        dialect: Dialect,
        found: OtherTable,
        into: Sequence[OtherColumn],
        rows: Iterable[Row],
    ) -> Written:
        names = [column.name for column in into]
        key = self._key_in(into)
        target = RenderedSql(found.sql, {})
        dialect.drop_staged(self.database)
        self._run("other_stage_like", staged=STAGED, columns=names, target=target)
        count = self._poured(quote_name(STAGED), rows)
        self.expect.check_rows(count, self.table)
        doubled = next(iter(self._run("other_doubled_key", key=key, staged=STAGED)), None)
        if doubled is not None:
            shown = ", ".join(map(repr, tuple(doubled)[:-1]))
            raise JobFailure(
                f"{self.source}: the key ({', '.join(key)}) is NULL or stands in several rows,"
                f" as {self.table} compares values: {shown}"
            )
        others = [column for column in into if column.name not in key]
        updated = deleted = 0
        # First of all: a row that stays may take the unique value of one that goes.
        if self.deletes:
            before = self._count(found)
            gone = self._run("other_delete_missing", target=target, staged=STAGED, key=key)
            deleted = gone.rowcount
            self.expect.check_deleted(deleted, before, self.table)
        if others and self.mode == "merge":
            updated = self.database.run(dialect.update(found.sql, key, others)).rowcount
        inserted = self._run(
            "other_insert_missing", target=target, staged=STAGED, columns=names, key=key
        ).rowcount
        dialect.drop_staged(self.database)
        return Written(count, inserted, updated, deleted)

    def _key_in(self, into: Sequence[OtherColumn]) -> list[str]:
        own = {column.name.lower(): column.name for column in into}
        missing = [name for name in self.key if name.lower() not in own]
        if missing:
            raise JobFailure(f"{self.source} has no key column {missing[0]!r}")
        return [own[name.lower()] for name in self.key]

    def _poured(self, table: str, rows: Iterable[Row]) -> int:
        columns = [quote_name(column.name) for column in self.columns]
        count = size = 0
        batch: list[Sequence[object]] = []
        for row in self._fitted(rows):
            batch.append(row)
            size += sum(len(value) for value in row if isinstance(value, str | bytes))
            if len(batch) >= _BATCH_ROWS or size >= _BATCH_SIZE:
                self.database.insert(table, columns, batch)
                count, size, batch = count + len(batch), 0, []
        if batch:
            self.database.insert(table, columns, batch)
        return count + len(batch)

    def _fitted(self, rows: Iterable[Row]) -> Iterator[list[object]]:
        fits: list[Fit] = self._fits
        for number, row in enumerate(rows, 1):
            values: list[object] = []
            for at, (value, fit) in enumerate(zip(row, fits, strict=True)):
                try:
                    values.append(None if value is None else fit(value))
                except Unfit as reason:
                    name = self.columns[at].name
                    where = told(self.database.kind, name, value or "", reason)
                    raise JobFailure(f"{self.source}, row {number}: {where}") from None
            yield values

    def _count(self, found: OtherTable) -> int:
        (row,) = self._run("other_count", target=RenderedSql(found.sql, {}))
        return int(row[0])

    def _run(self, template: str, **values: object) -> Answer:
        return self.database.run(packaged_sql(template, **values))
