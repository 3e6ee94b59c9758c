"""LoadFile: a CSV or JSON Lines file into a table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.copying.text_loader import TableLoad
from headrace.jobs.files.atomic_files import to_read
from headrace.jobs.files.packed_files import open_text
from headrace.jobs.statements.previews import ALL_COLUMNS
from headrace.jobs.tables.row_replacement import ReplaceStrategy
from headrace.template import Preview


class LoadFile(BaseJob):
    """Load a file into a table, streamed, all of it or nothing.

    A row that does not fit fails the job with its line. Every record is accounted for: the job
    fails if PostgreSQL stored fewer rows than were read. The result is `{row_count, table}`.

    Parameters:
        path: the file, UTF-8; gzip is detected by its content, not by its name. It is searched
            beside the pipeline, in the pipelines folder, and in the output folders.
        table: the table, with its schema.
        format: csv or jsonl (one JSON object per line).
        mode: append to the table's rows, or replace them. The new rows are staged first;
            readers see the old ones until the job commits.
        create: create the table if it is missing.
        columns: the file's columns: a list of names, or a mapping of names to types, which
            `create` uses (text if none is given) and an existing table must have. If there is a
            header, it is matched by name, in any order; otherwise the order counts. Default: the
            header, or the table's columns for which JSON records have keys.
        delimiter: the separator between the columns of a CSV file.
        header: the first line of a CSV file names the columns.
        null: the text that stands for a missing value in a CSV file. An empty field in quotes is
            an empty string, or a missing value if the column's type has no empty value.
        replace_strategy: how `mode: replace` replaces the rows: insert_from_staging (readers do
            not wait), or truncate_and_insert (faster, but they wait).
    """

    paths: ClassVar = {"path": to_read}
    result_keys: ClassVar = {"row_count": int, "table": str}
    tables_written = ("table",)
    tables_made = ("table",)

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
        replace_strategy: ReplaceStrategy = "insert_from_staging",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.table, self.format = path, table, format
        self._load = TableLoad(
            path,
            table,
            mode,
            create,
            columns,
            delimiter,
            header,
            null,
            strategy=replace_strategy,
        )
        self._load.check(is_csv=format == "csv")

    def handle(self) -> dict[str, Any]:
        path = jobapi.current().find_file(self.path)
        logger.info("Loading %s into %s", self.path, self.table)
        with self.session() as session, open_text(path, self.path) as file:
            if self.format == "csv":
                count = self._load.csv(session, file)
            else:
                count = self._load.json_lines(session, file, lambda: self._lines(path))
        logger.info("Loaded %d rows into %s", count, self.table)
        return {"row_count": count, "table": self.table}

    def _lines(self, path: Path) -> Iterator[str]:
        with open_text(path, self.path) as file:
            yield from file

    def preview(self) -> Iterator[Preview]:
        is_csv = self.format == "csv"
        columns, note = self._load.known_columns(is_csv=is_csv), ""
        if columns is None:
            columns, note = self._columns_of_the_file(is_csv=is_csv)
        yield from self._load.preview(columns, self.connection, note, is_csv=is_csv)

    def _columns_of_the_file(self, *, is_csv: bool) -> tuple[list[str], str]:
        try:
            with open_text(jobapi.current().find_file(self.path), self.path) as file:
                columns = self._load.columns_in(file, is_csv=is_csv)
        except (OSError, ValueError, JobFailure):
            return ALL_COLUMNS, f"the columns are read from {self.path}"
        return columns, f"the columns are those that {self.path} has now"
