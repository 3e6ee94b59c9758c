"""LoadFile: a CSV or JSON Lines file into a table."""

import csv
from pathlib import Path
from typing import IO, Any, Literal

from sqlalchemy.orm import Session

from jobs.base import BaseJob, execute, logger
from jobs.streams import JsonLines, copy_in, open_text, parse_record
from jobs.tables import create_schema, lock_name, table_exists
from runner import jobapi
from runner.errors import InvalidPayload, JobFailure


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
            statement = self.sql(
                "load_csv",
                table=self.table,
                columns=columns,
                delimiter=self.delimiter,
                null=self.null,
            )
            return copy_in(session, statement, file, name=self.path, lines_before=lines)

    def _load_jsonl(self, session: Session, path: Path) -> int:
        with open_text(path) as file:
            first = file.readline()
            if not first:
                raise JobFailure(f"{self.path}: the file is empty")
            columns = self._columns(list(parse_record(first, self.path, 1)))
            self._prepare(session, columns)
            statement = self.sql("load_jsonl", table=self.table, columns=columns)
            file.seek(0)
            return copy_in(session, statement, JsonLines(file, columns, self.path), name=self.path)

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
            types = self.columns if isinstance(self.columns, dict) else {}
            create_schema(session, self.table)
            typed = [{"name": name, "type": types.get(name, "text")} for name in columns]
            execute(session, self.sql("create_table", table=self.table, columns=typed))
        elif self.mode == "replace":
            execute(session, self.sql("empty_table", table=self.table))
