"""Takes the rows of a file or an answer into a table: straight by COPY, or staged first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.copying.portable_text import dates_year_first
from headrace.jobs.copying.write_mode import WriteMode
from headrace.jobs.files.column_shapes import Shape, shapes_of
from headrace.jobs.files.copy_streams import copy_in, server_version
from headrace.jobs.files.csv_records import CsvRecords
from headrace.jobs.files.json_records import JsonRecords
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.row_storage import Staged, append_staged, merge_staged, store_staged
from headrace.jobs.tables.sequences import advance_sequences
from headrace.jobs.tables.staging_table import STAGED, make_staging, staged_table
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.template import RenderedSql, quote_name

ABSENT = Column("headrace_absent", "text")
DEFAULT_MARK = "\\D"


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows were read, and what became of them; `by_key` tells whether any were updated.

    `duplicates` are rows that gave way to another one of their key.
    """

    read: int
    inserted: int
    updated: int = 0
    duplicates: int = 0
    by_key: bool = False

    def result(self, table: str) -> dict[str, Any]:
        """Return it as a job's result."""
        if not self.by_key:
            return {"row_count": self.inserted, "table": table}
        return {
            "row_count": self.read,
            "inserted": self.inserted,
            "updated": self.updated,
            "duplicates": self.duplicates,
            "table": table,
        }


@dataclass(frozen=True, slots=True)
class Intake:
    """Where rows go, and how; `name` is what errors call their source."""

    session: Session
    target: Table
    name: str
    how: WriteMode

    @property
    def marks_defaults(self) -> bool:
        """Whether COPY itself can put a column's default in."""
        return not self.how.stages and server_version(self.session) >= 160000

    def shapes(self, columns: Sequence[Column], *, lists_absent: bool) -> dict[str, Shape]:
        """Make the staging table, where there is to be one, and return the columns' shapes."""
        if not (self.how.stages or lists_absent):
            return shapes_of(self.session, self.target.oid)
        make_staging(self.session, [*columns, ABSENT] if lists_absent else columns)
        if self.how.by_key:
            key = self.how.key_of(self.target, columns, self.name)
            execute(self.session, packaged_sql("require_keys", staged=STAGED, key=key))
        return shapes_of(self.session, staged_table(self.session).oid)

    def csv(
        self, columns: Sequence[Column], records: CsvRecords, options: dict[str, Any]
    ) -> Loaded:
        """Take CSV records, where `shapes` was called before.

        Raises:
            JobFailure: a row does not fit, or rows were lost.
        """
        names = [column.name for column in columns]
        into = _staged() if self.how.stages else self.target.sql
        written = self._copy(
            packaged_sql("load_csv", table=into, columns=names, **options), records
        )
        if records.lines.left_out:
            logger.info("%s: %d blank lines were skipped", self.name, records.lines.left_out)
        return self._published(columns, records.rows, written)

    def json(
        self, columns: Sequence[Column], records: JsonRecords, *, lists_absent: bool
    ) -> Loaded:
        """Take JSON records; raises and returns as `csv`. The staged ones list what is absent."""
        names = [column.name for column in columns]
        if not lists_absent:
            mark = DEFAULT_MARK if self.marks_defaults else None
            into = self.target.sql
            statement = packaged_sql("load_jsonl", table=into, columns=names, default_mark=mark)
            written = self._copy(statement, records)
            return self._published(columns, records.rows, written)
        statement = packaged_sql(
            "load_jsonl", table=_staged(), columns=[*names, ABSENT.name], default_mark=None
        )
        written = self._copy(statement, records)
        seen = [columns[at] for at in sorted(records.seen)] or list(columns)
        duplicates = self._drop_duplicates(seen)
        self._fill_defaults(columns, seen)
        unseen = [column.name for column in columns if column not in seen]
        execute(
            self.session,
            packaged_sql("drop_columns", staged=STAGED, columns=[ABSENT.name, *unseen]),
        )
        return self._published(seen, records.rows, written, duplicates)

    def _copy(self, statement: RenderedSql, records: CsvRecords | JsonRecords) -> int:
        with dates_year_first(self.session) as year_first:
            records.refuses_short_years = year_first
            return copy_in(self.session, statement, records, name=self.name, lines=records.lines)

    def _fill_defaults(self, columns: Sequence[Column], seen: Sequence[Column]) -> None:
        filled = [
            {
                "name": column.name,
                "mark": f"%,{at},%",
                "default": RenderedSql(default_of(column, self.target), {}),
            }
            for at, column in enumerate(columns)
            if column in seen and has_default(column)
        ]
        if filled:
            statement = packaged_sql(
                "fill_defaults", staged=STAGED, absent=ABSENT.name, columns=filled
            )
            execute(self.session, statement)

    def _drop_duplicates(self, columns: Sequence[Column]) -> int:
        """Leave one row of each key, while the rows still lie in the order of the source."""
        if not self.how.by_key:
            return 0
        key = self.how.key_of(self.target, columns, self.name)
        dropped = self.how.drop_duplicates(self.session, key, columns, self.name)
        if dropped:
            logger.info("%s: %d rows gave way to another one of their key", self.name, dropped)
        return dropped

    def _published(
        self, columns: Sequence[Column], read: int, written: int, duplicates: int | None = None
    ) -> Loaded:
        """Account for every record, and bring the table's state in order."""
        staged = Staged(written, source=self.name)
        how, table = self.how, self.target.written
        if self.how.stages:
            _account(self.name, read, written)
        if how.by_key:
            if duplicates is None:
                duplicates = self._drop_duplicates(columns)
            return self._merged(columns, read, duplicates)
        if how.mode == "replace":
            store_staged(
                self.session, table, staged, on_schema_change=how.on_schema_change,
                strategy=how.strategy, expect=how.expect, keeps_other_values=False,
            )  # fmt: skip
            return Loaded(read, written)
        if how.stages or duplicates is not None:
            written, columns = append_staged(
                self.session, self.target, staged, on_schema_change=how.on_schema_change
            )
        if written < read and self._drops_rows():
            logger.warning(
                "%s: a trigger of %s rejected %d of %d rows",
                self.name, table, read - written, read,
            )  # fmt: skip
        else:
            _account(self.name, read, written)
        how.expect.check_rows(read, table)
        advance_sequences(self.session, self.target, [column.name for column in columns])
        return Loaded(read, written)

    def _merged(self, columns: Sequence[Column], read: int, duplicates: int) -> Loaded:
        how = self.how
        how.expect.check_rows(read, self.target.written)
        written = merge_staged(
            self.session,
            self.target.written,
            Staged(read - duplicates, source=self.name),
            how.key_of(self.target, columns, self.name),
            delete=False,
            update=how.mode == "merge",
            on_schema_change=how.on_schema_change,
        )
        return Loaded(read, written.inserted, written.updated, duplicates, by_key=True)

    def _drops_rows(self) -> bool:
        statement = packaged_sql("drops_rows", oid=self.target.oid)
        return bool(execute(self.session, statement).scalar())


def _staged() -> RenderedSql:
    return RenderedSql(f"pg_temp.{quote_name(STAGED)}", {})


def has_default(column: Column) -> bool:
    """Tell whether a row without a value for this column gets another than NULL."""
    return column.has_default or bool(column.identity)


def default_of(column: Column, target: Table) -> str:
    """Return the expression that gives a column's default."""
    if not column.identity:
        return column.default or "NULL"
    table, name = _literal(target.sql.display), _literal(column.name)
    return f"nextval(pg_get_serial_sequence({table}, {name}))"


def insertable(target: Table) -> list[Column]:
    """Return the columns that take values."""
    return [column for column in target.columns if not column.generated]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _account(name: str, read: int, written: int) -> None:
    if read != written:
        raise JobFailure(
            f"{name}: {read} records were read, but PostgreSQL stored {written}: nothing is saved"
        )
