"""LoadFile: a CSV or JSON Lines file into a table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.copying.text_loader import TableLoad
from headrace.jobs.copying.write_mode import Mode, Order, WriteMode
from headrace.jobs.files.atomic_files import to_read
from headrace.jobs.files.packed_files import open_text
from headrace.jobs.statements.previews import ALL_COLUMNS
from headrace.jobs.tables.expectations import Expected
from headrace.jobs.tables.row_replacement import ReplaceStrategy
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.template import Preview


class LoadFile(BaseJob):
    """Load a file into a table, streamed, all of it or nothing.

    A row that does not fit fails the job with its line. Every record is accounted for: the job
    fails if PostgreSQL stored fewer rows than were read. The result is `{row_count, table}`; for
    `merge` and `insert_only` it also has `inserted`, `updated` and `duplicates`.

    Parameters:
        path: the file, UTF-8; gzip is detected by its content, not by its name. It is searched
            beside the pipeline, in the pipelines folder, and in the output folders.
        table: the table, with its schema.
        format: csv or jsonl (one JSON object per line).
        mode: append to the table's rows; replace them; merge by key (update the rows whose key is
            there, insert the others); or insert_only the rows whose key is not there. But for
            append, the rows are staged first; readers see the old ones until the job commits.
        primary_key: the columns that identify a row in `merge` and `insert_only`; default the
            table's primary key. A row without a value there is an error. A table that `create`
            makes gets this key.
        dedup_sort: which of several rows with one key stays: the first by this order, as in
            `{updated_at: desc}`. Without a value there a row comes last. Default: the last row.
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
        on_schema_change: what to do if the file has a column that the table lacks: fail; ignore
            it; append_new_columns; sync_all_columns, which also gives columns the types of
            `columns` and, with `mode: replace`, drops those that the file lacks; recreate, which
            drops the table with its privileges and needs `mode: replace`.
        expect: fail, and save nothing, if the numbers are others: `rows` (read from the file), as
            in ">0" or "100..200"; `max_delete`, rows or a share of the table's rows that
            `replace` may delete, as in 5%.
    """

    paths: ClassVar = {"path": to_read}
    result_keys: ClassVar = {
        "row_count": int,
        "inserted": int,
        "updated": int,
        "duplicates": int,
        "table": str,
    }
    tables_written = ("table",)
    tables_made = ("table",)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        path: str,
        table: str,
        *,
        format: Literal["csv", "jsonl"] = "csv",  # noqa: A002 - the user's word for it
        mode: Mode = "append",
        primary_key: str | list[str] | None = None,
        dedup_sort: dict[str, Order] | None = None,
        create: bool = False,
        columns: list[str] | dict[str, str] | None = None,
        delimiter: str = ",",
        header: bool = True,
        null: str = "",
        replace_strategy: ReplaceStrategy = "insert_from_staging",
        on_schema_change: OnSchemaChange = "fail",
        expect: Expected | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.table, self.format = path, table, format
        how = WriteMode.read(
            mode,
            replace_strategy=replace_strategy,
            primary_key=primary_key,
            dedup_sort=dedup_sort,
            on_schema_change=on_schema_change,
            expect=expect,
        )
        self._load = TableLoad(path, table, how, create, columns, delimiter, header, null)
        self._load.check(is_csv=format == "csv")

    def handle(self) -> dict[str, Any]:
        path = jobapi.current().find_file(self.path)
        logger.info("Loading %s into %s", self.path, self.table)
        with self.session() as session, open_text(path, self.path) as file:
            if self.format == "csv":
                loaded = self._load.csv(session, file)
            else:
                loaded = self._load.json_lines(session, file, lambda: self._lines(path))
        result = loaded.result(self.table)
        logger.info("Loaded %s: %s", self.table, result)
        return result

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
