"""LoadFile: a CSV or JSON Lines file into a table."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from sqlalchemy.orm import Session

from jobs.base import BaseJob, execute, logger
from jobs.previews import ALL_COLUMNS
from jobs.streams import JsonLines, copy_in, open_text, parse_record
from jobs.tables import create_schema, lock_name, table_exists
from runner import jobapi
from runner.errors import InvalidPayload, JobFailure
from runner.template import Preview, RenderedSql


class LoadFile(BaseJob):
    """Load a file into a table, streamed, all of it or nothing.

    A row that does not fit fails the job with its line. The result is `{row_count, table}`.

    Parameters:
        path: the file, UTF-8, looked up beside the pipeline and in the pipelines folder; a
            name ending in `.gz` is unpacked while reading.
        table: the table, with its schema.
        format: csv or jsonl (one JSON object a line).
        mode: append to the table's rows, or replace them.
        create: create the table where it is missing.
        columns: the file's columns: a list of names, or a mapping of names to types, which
            `create` uses (text where none is given). Default: the header, or the keys of the
            first JSON object.
        delimiter: what separates the columns of a CSV file.
        header: the first line of a CSV file names the columns.
        null: the text that stands for no value in a CSV file.
    """

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        path: str,
        table: str,
        *,
        format: Literal["csv", "jsonl"] = "csv",  # noqa: A002 - the user's word for it
        mode: Literal["append", "replace"] = "append",
        create: bool = False,
        columns: list[str] | dict[str, str] | None = None,
        delimiter: str = ",",
        header: bool = True,
        null: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(delimiter) != 1:
            raise InvalidPayload(f"delimiter is one character, not {delimiter!r}")
        if format == "csv" and not header and columns is None:
            raise InvalidPayload("a CSV file without a header needs columns")
        self.path, self.table = path, table
        self.format, self.mode = format, mode
        self.create = create
        self.columns = columns
        self.delimiter, self.header, self.null = delimiter, header, null

    def handle(self) -> dict[str, Any]:
        path = jobapi.current().resolve_path(self.path)
        if not path.is_file():
            raise JobFailure(f"there is no file {self.path!r}")
        logger.info("Loading %s into %s", self.path, self.table)
        with self.session() as session:
            count = (
                self._load_csv(session, path)
                if self.format == "csv"
                else self._load_jsonl(session, path)
            )
        logger.info("Loaded %d rows into %s", count, self.table)
        return {"row_count": count, "table": self.table}

    def _load_csv(self, session: Session, path: Path) -> int:
        with open_text(path) as file:
            named, lines = self._read_header(file) if self.header else ([], 0)
            columns = self._columns(named)
            self._prepare(session, columns)
            statement = self._copy(columns)
            return copy_in(session, statement, file, name=self.path, lines_before=lines)

    def _load_jsonl(self, session: Session, path: Path) -> int:
        with open_text(path) as file:
            first = file.readline()
            if not first:
                raise JobFailure(f"{self.path}: the file is empty")
            columns = self._columns(list(parse_record(first, self.path, 1)))
            self._prepare(session, columns)
            file.seek(0)
            rows = JsonLines(file, columns, self.path)
            return copy_in(session, self._copy(columns), rows, name=self.path)

    def preview(self) -> Iterator[Preview]:
        columns, note = self._known_columns()
        if self.create:
            where = f"where {self.table} is missing" + (f"; {note}" if note else "")
            yield Preview(self._create_table(columns), self.connection, where)
        if self.mode == "replace":
            yield Preview(self.sql("empty_table", table=self.table), self.connection)
        look = self.sql("select_columns", table=self.table, columns=columns)
        if columns is ALL_COLUMNS:
            look = self.sql("count_rows", table=self.table)
        created = "the step creates its table where it is missing" if self.create else ""
        yield Preview(self._copy(columns), self.connection, note, look, created)

    def _known_columns(self) -> tuple[list[str], str]:
        """Return the columns as far as they are known before the job runs, and a note."""
        by_name = self.format == "jsonl" or self.header
        if self.columns is not None and not (by_name and isinstance(self.columns, dict)):
            return list(self.columns), ""
        try:
            with open_text(jobapi.current().resolve_path(self.path)) as file:
                columns = self._columns(self._named(file))
        except (OSError, ValueError, JobFailure):
            return ALL_COLUMNS, f"the columns are read from {self.path}"
        return columns, f"the columns are those that {self.path} has now"

    def _named(self, file: IO[str]) -> list[str]:
        if self.format == "csv":
            return self._read_header(file)[0]
        return list(parse_record(file.readline(), self.path, 1))

    def _copy(self, columns: list[str]) -> RenderedSql:
        if self.format == "jsonl":
            return self.sql("load_jsonl", table=self.table, columns=columns)
        return self.sql(
            "load_csv",
            table=self.table,
            columns=columns,
            delimiter=self.delimiter,
            null=self.null,
        )

    def _create_table(self, columns: list[str]) -> RenderedSql:
        types = self.columns if isinstance(self.columns, dict) else {}
        typed = [{"name": name, "type": types.get(name, "text")} for name in columns]
        return self.sql("create_table", table=self.table, columns=typed)

    def _read_header(self, file: IO[str]) -> tuple[list[str], int]:
        try:
            reader = csv.reader(iter(file.readline, ""), delimiter=self.delimiter)
            return [name.strip() for name in next(reader)], reader.line_num
        except StopIteration:
            raise JobFailure(f"{self.path}: the file is empty, a header was expected") from None
        except UnicodeDecodeError as error:
            raise JobFailure(f"{self.path}: is not UTF-8: {error}") from None

    def _columns(self, named: list[str]) -> list[str]:
        """Return the file's columns in its order; a mapping only adds types to named ones."""
        if self.columns is None:
            return named
        given = list(self.columns)
        if isinstance(self.columns, dict) and named:
            unknown = [name for name in given if name not in named]
            if unknown:
                raise JobFailure(
                    f"{self.path}:1: has no column {unknown[0]!r}; its columns: {', '.join(named)}"
                )
            return named
        return given

    def _prepare(self, session: Session, columns: list[str]) -> None:
        lock_name(session, self.table)
        if self.create and not table_exists(session, self.table):
            create_schema(session, self.table)
            execute(session, self._create_table(columns))
        elif self.mode == "replace":
            execute(session, self.sql("empty_table", table=self.table))
