"""Loads an open text, CSV or JSON Lines, into a table: what files and answers have in common."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Literal

from sqlalchemy.orm import Session

from jobs.base import execute, packaged_sql
from jobs.previews import ALL_COLUMNS
from jobs.streams import JsonLines, copy_in, parse_record
from jobs.tables import create_schema, lock_name, table_exists
from runner.errors import InvalidPayload, JobFailure
from runner.template import Preview, RenderedSql


@dataclass(frozen=True, slots=True)
class TableLoad:
    """How rows get into a table. `name` is what errors call their source.

    `columns` are those of the source: names, or names with the types that `create` uses; None
    takes them from the header, or from the keys of the first record. With `leave_out` the keys
    of a record that are no column are left out, otherwise they are an error.
    """

    name: str
    table: str
    mode: Literal["append", "replace"] = "append"
    create: bool = False
    columns: list[str] | dict[str, str] | None = None
    delimiter: str = ","
    header: bool = True
    null: str = ""
    leave_out: bool = False

    def check(self, *, is_csv: bool) -> None:
        """Refuse what cannot be loaded whatever comes.

        Raises:
            InvalidPayload: naming the parameter.
        """
        if len(self.delimiter) != 1:
            raise InvalidPayload(f"delimiter is one character, not {self.delimiter!r}")
        if is_csv and not self.header and self.columns is None:
            raise InvalidPayload("a CSV file without a header needs columns")

    def csv(self, session: Session, file: IO[str]) -> int:
        """Load CSV from its beginning; returns the number of rows.

        Raises:
            JobFailure: a row does not fit, with its line.
        """
        named, lines = self._read_header(file) if self.header else ([], 0)
        columns = self._columns(named)
        self.prepare(session, columns)
        statement = self.statement(columns, is_csv=True)
        return copy_in(session, statement, file, name=self.name, lines_before=lines)

    def json_lines(self, session: Session, lines: Iterable[str]) -> int:
        """Load JSON Lines; returns the number of rows.

        Raises:
            JobFailure: there is none, or one does not fit, with its line.
        """
        following = iter(lines)
        first = next(following, None)
        if first is None:
            raise JobFailure(f"{self.name}: the file is empty")
        columns = self._columns(list(parse_record(first, self.name, 1)))
        self.prepare(session, columns)
        statement = self.statement(columns, is_csv=False)
        source = JsonLines(chain([first], following), columns, self.name, leave_out=self.leave_out)
        return copy_in(session, statement, source, name=self.name)

    def prepare(self, session: Session, columns: list[str]) -> None:
        """Have the table there, empty where the mode wants it so."""
        lock_name(session, self.table)
        if self.create and not table_exists(session, self.table):
            if not columns:
                raise JobFailure(f"{self.name}: {self.table} cannot be made without columns")
            create_schema(session, self.table)
            execute(session, self._create_table(columns))
        elif self.mode == "replace":
            execute(session, packaged_sql("empty_table", table=self.table))

    def statement(self, columns: list[str], *, is_csv: bool) -> RenderedSql:
        """Return the COPY that takes the rows."""
        if not is_csv:
            return packaged_sql("load_jsonl", table=self.table, columns=columns)
        return packaged_sql(
            "load_csv",
            table=self.table,
            columns=columns,
            delimiter=self.delimiter,
            null=self.null,
        )

    def preview(
        self, columns: list[str], connection: str | None, note: str = "", *, is_csv: bool
    ) -> Iterator[Preview]:
        """Yield the statements of a load whose columns are these; `note` tells whence."""
        if self.create:
            where = f"where {self.table} is missing" + (f"; {note}" if note else "")
            yield Preview(self._create_table(columns), connection, where)
        if self.mode == "replace":
            yield Preview(packaged_sql("empty_table", table=self.table), connection)
        look = packaged_sql("select_columns", table=self.table, columns=columns)
        if columns is ALL_COLUMNS:
            look = packaged_sql("count_rows", table=self.table)
        created = "the step creates its table where it is missing" if self.create else ""
        copy = self.statement(columns, is_csv=is_csv)
        yield Preview(copy, connection, note, look, created)

    def known_columns(self, *, is_csv: bool) -> list[str] | None:
        """Return the columns as far as they are known before anything is read."""
        by_name = not is_csv or self.header
        if self.columns is None or (by_name and isinstance(self.columns, dict)):
            return None
        return list(self.columns)

    def columns_in(self, file: IO[str], *, is_csv: bool) -> list[str]:
        """Return the columns that an open text has.

        Raises:
            JobFailure: they cannot be read.
        """
        if is_csv:
            return self._columns(self._read_header(file)[0])
        return self._columns(list(parse_record(file.readline(), self.name, 1)))

    def _create_table(self, columns: list[str]) -> RenderedSql:
        types = self.columns if isinstance(self.columns, dict) else {}
        typed = [{"name": name, "type": types.get(name, "text")} for name in columns]
        return packaged_sql("create_table", table=self.table, columns=typed)

    def _read_header(self, file: IO[str]) -> tuple[list[str], int]:
        try:
            reader = csv.reader(iter(file.readline, ""), delimiter=self.delimiter)
            return [name.strip() for name in next(reader)], reader.line_num
        except StopIteration:
            raise JobFailure(f"{self.name}: the file is empty, a header was expected") from None
        except UnicodeDecodeError as error:
            raise JobFailure(f"{self.name}: is not UTF-8: {error}") from None

    def _columns(self, named: list[str]) -> list[str]:
        """Return the source's columns in its order; a mapping only adds types to named ones."""
        if self.columns is None:
            return named
        given = list(self.columns)
        if self.leave_out:
            return given
        if isinstance(self.columns, dict) and named:
            unknown = [name for name in given if name not in named]
            if unknown:
                raise JobFailure(
                    f"{self.name}:1: has no column {unknown[0]!r}; its columns: {', '.join(named)}"
                )
            return named
        return given
