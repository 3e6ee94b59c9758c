"""Takes the rows of a file or an answer into a table: straight by COPY, or staged first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.copying.portable_text import dates_year_first
from headrace.jobs.files.copy_streams import copy_in, server_version
from headrace.jobs.files.csv_records import CsvRecords
from headrace.jobs.files.json_records import JsonRecords
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.row_replacement import ReplaceStrategy, insert_statement, replace_rows
from headrace.jobs.tables.sequences import advance_sequences
from headrace.jobs.tables.staging_table import STAGED, lock_rows, make_staging
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ABSENT = Column("headrace_absent", "text")
DEFAULT_MARK = "\\D"


@dataclass(frozen=True, slots=True)
class Intake:
    """Where rows go, and how; `name` is what errors call their source."""

    session: "Session"
    target: Table
    name: str
    mode: Literal["append", "replace"]
    strategy: ReplaceStrategy

    @property
    def marks_defaults(self) -> bool:
        """Whether COPY itself can put a column's default in."""
        return self.mode == "append" and server_version(self.session) >= 160000

    def csv(self, columns: Sequence[Column], records: CsvRecords, options: dict[str, Any]) -> int:
        """Take CSV records; returns the number of rows that the table took.

        Raises:
            JobFailure: a row does not fit, or rows were lost.
        """
        names = [column.name for column in columns]
        into = self._staged(columns) if self.mode == "replace" else self.target.sql
        statement = packaged_sql("load_csv", table=into, columns=names, **options)
        written = self._copy(statement, records)
        if records.lines.left_out:
            logger.info("%s: %d blank lines were skipped", self.name, records.lines.left_out)
        return self._published(columns, records.rows, written)

    def json(self, columns: Sequence[Column], records: JsonRecords, *, staged: bool) -> int:
        """Take JSON records; raises and returns as `csv`. The staged ones list what is absent."""
        names = [column.name for column in columns]
        if not staged:
            mark = DEFAULT_MARK if self.marks_defaults else None
            into = self.target.sql
            statement = packaged_sql("load_jsonl", table=into, columns=names, default_mark=mark)
            written = self._copy(statement, records)
            return self._published(columns, records.rows, written)
        into = self._staged([*columns, ABSENT])
        statement = packaged_sql(
            "load_jsonl", table=into, columns=[*names, ABSENT.name], default_mark=None
        )
        written = self._copy(statement, records)
        seen = [columns[at] for at in sorted(records.seen)] or list(columns)
        self._fill_defaults(columns, seen)
        if self.mode == "replace":
            return self._published(seen, records.rows, written)
        insert = insert_statement(
            self.target.sql,
            [column.name for column in seen],
            always=any(column.identity == "a" for column in seen),
        )
        stored = execute(self.session, insert).rowcount
        return self._published(seen, records.rows, stored)

    def _staged(self, columns: Sequence[Column]) -> RenderedSql:
        make_staging(self.session, columns)
        return RenderedSql(f"pg_temp.{quote_name(STAGED)}", {})

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

    def _published(self, columns: Sequence[Column], read: int, written: int) -> int:
        """Account for every record, and bring the table's state in order."""
        if self.mode == "replace":
            _account(self.name, read, written)
            lock_rows(self.session, self.target)
            replace_rows(self.session, self.target, columns, read, strategy=self.strategy)
            return written
        if written < read and self._drops_rows():
            logger.warning(
                "%s: a trigger of %s rejected %d of %d rows",
                self.name, self.target.written, read - written, read,
            )  # fmt: skip
        else:
            _account(self.name, read, written)
        advance_sequences(self.session, self.target, [column.name for column in columns])
        return written

    def _drops_rows(self) -> bool:
        statement = packaged_sql("drops_rows", oid=self.target.oid)
        return bool(execute(self.session, statement).scalar())


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
