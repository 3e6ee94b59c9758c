"""LoadFile: a CSV or JSON Lines file into a table."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from jobs.base import BaseJob, logger
from jobs.files import to_read
from jobs.loading import TableLoad
from jobs.previews import ALL_COLUMNS
from jobs.streams import open_text
from runner import jobapi
from runner.errors import JobFailure
from runner.template import Preview


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

    paths: ClassVar = {"path": to_read}
    result_keys = ("row_count", "table")

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
        self.path, self.table, self.format = path, table, format
        self._load = TableLoad(path, table, mode, create, columns, delimiter, header, null)
        self._load.check(is_csv=format == "csv")

    def handle(self) -> dict[str, Any]:
        path = jobapi.current().resolve_path(self.path)
        if not path.is_file():
            raise JobFailure(f"there is no file {self.path!r}")
        logger.info("Loading %s into %s", self.path, self.table)
        with self.session() as session, open_text(path) as file:
            load = self._load.csv if self.format == "csv" else self._load.json_lines
            count = load(session, file)
        logger.info("Loaded %d rows into %s", count, self.table)
        return {"row_count": count, "table": self.table}

    def preview(self) -> Iterator[Preview]:
        is_csv = self.format == "csv"
        columns, note = self._load.known_columns(is_csv=is_csv), ""
        if columns is None:
            columns, note = self._columns_of_the_file(is_csv=is_csv)
        yield from self._load.preview(columns, self.connection, note, is_csv=is_csv)

    def _columns_of_the_file(self, *, is_csv: bool) -> tuple[list[str], str]:
        try:
            with open_text(jobapi.current().resolve_path(self.path)) as file:
                columns = self._load.columns_in(file, is_csv=is_csv)
        except (OSError, ValueError, JobFailure):
            return ALL_COLUMNS, f"the columns are read from {self.path}"
        return columns, f"the columns are those that {self.path} has now"
