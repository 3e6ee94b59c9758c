"""Writes a query's rows to files that can be read back."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Literal

from psycopg2 import DataError

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import logger
from headrace.jobs.copying.binary_copy import arrow_type
from headrace.jobs.copying.exported_columns import JSON_NULL, Exported, described
from headrace.jobs.copying.portable_text import portable
from headrace.jobs.files.arrow_csv import Unfit
from headrace.jobs.files.copy_streams import copy_out
from headrace.jobs.files.file_formats import Format
from headrace.jobs.files.packing import Packing, name_inside, packed
from headrace.jobs.files.row_outputs import (
    BOM,
    JsonOutput,
    ParquetOutput,
    RowOutput,
    SheetOutput,
    TextOutput,
)
from headrace.jobs.files.split_files import UNSPLIT, SplitOutput, Splitting, part_path
from headrace.jobs.sql.packaged import packaged_sql
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


ALL = RenderedSql("*", {})
OpenFile = Callable[[str], Any]
"""Opens a file to write by its path; a context manager, after which it is there."""

_TEXTS: tuple[Format, ...] = ("csv", "tsv")
_TYPED: tuple[Format, ...] = ("parquet", "xlsx")
_AT = "In CSV column #"


@dataclass(frozen=True, slots=True)
class ExportForm:
    """How an export is written."""

    format: Format = "csv"
    packing: Packing = "none"
    delimiter: str = ","
    header: bool = True
    null: str = ""
    split: Splitting = UNSPLIT
    formulas: Literal["keep", "escape"] = "keep"
    bom: bool = False

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            InvalidPayload: naming the parameter.
        """
        if self.format == "xlsx" and self.packing != "none":
            raise InvalidPayload("a spreadsheet is packed by itself: leave compression out")
        if self.format == "parquet" and self.packing not in ("none", "gz", "zst"):
            raise InvalidPayload("Parquet is packed inside, with gz or zst")
        if self.format not in _TEXTS:
            for name, differs in (("bom", self.bom), ("null", bool(self.null))):
                if differs:
                    raise InvalidPayload(f"{name} is for CSV files only")

    @property
    def outer(self) -> Packing:
        """How the file as a whole is packed."""
        return "none" if self.format in _TYPED else self.packing

    def statement(self, query: RenderedSql, columns: Sequence["Exported"] | None) -> RenderedSql:
        """Return the COPY; without `columns` the query's own."""
        key = self.split.by if columns is not None else None
        if self.format in ("json", "jsonl"):
            chosen = _listed([one.of_json for one in columns]) if columns else ALL
            return packaged_sql("export_jsonl", query=query, columns=chosen, key=key)
        picked = None
        escapes = self.formulas == "escape" and self.format in _TEXTS
        if columns and (key is not None or escapes):
            picked = _listed([one.guarded if escapes else one.plain for one in columns])
        typed = self.format in _TYPED
        return packaged_sql(
            "export_csv",
            query=query,
            columns=picked,
            key=key,
            delimiter="," if typed else self.delimiter,
            null="" if typed else self.null,
            header=self.header and not typed,
        )


def _listed(columns: Sequence[str]) -> RenderedSql:
    return RenderedSql(", ".join(columns), {})


class QueryExport:
    """One export: its rows go into files that are all there in the end, or none."""

    def __init__(self, session: "Session", query: RenderedSql, form: ExportForm, path: str) -> None:
        self._session, self._query, self._form, self._path = session, query, form, path
        self.paths: list[str] = []

    def write(self, opened: OpenFile) -> int:
        """Write the rows, and return their number.

        Raises:
            JobFailure: a column is missing, or a value has no place in the format.
        """
        columns = described(self._session, self._query)
        by = self._form.split.by
        if by is not None and by not in {one.name for one in columns}:
            names = ", ".join(one.name for one in columns)
            raise JobFailure(f"split.by: the query has no column {by!r}; it has: {names}")
        # Text needs no library, nor the time that its import takes.
        typed = self._form.format in _TYPED
        types = [arrow_type(one.column) for one in columns] if typed else []
        while True:
            try:
                # Undone where it fails in the midst of a COPY: the next one needs a transaction.
                with self._session.begin_nested():
                    return self._written(columns, types, opened)
            except Unfit as reason:
                self._as_text(columns, types, str(reason))

    def _as_text(self, columns: Sequence[Exported], types: list[Any], reason: str) -> None:
        """Let a column be text whose values the format's own type does not hold."""
        from headrace.jobs.files.optional_library import library

        text = library("pyarrow", "").string()
        at = int(reason.partition(_AT)[2].partition(":")[0]) if _AT in reason else -1
        places = [at] if at >= 0 and types[at] != text else range(len(types))
        for place in places:
            if types[place] != text:
                logger.warning(
                    "%s: the column %s is written as text: %s",
                    self._path, columns[place].name, reason,
                )  # fmt: skip
            types[place] = text

    def _written(self, columns: Sequence[Exported], types: Sequence[Any], opened: OpenFile) -> int:
        self.paths = []
        statement = self._form.statement(self._query, columns)
        with ExitStack() as files:
            sink = _Sink(self._form, [one.name for one in columns], types)

            def open_part(part: str) -> RowOutput:
                path = part_path(self._path, part) if self._form.split.splits else self._path
                self.paths.append(path)
                file = files.enter_context(opened(path))
                output = sink.output(files.enter_context(self._packed(file, path)))
                files.callback(output.let_go)
                return output

            if self._form.split.splits:
                mark = b"\x02" if self._form.format in ("json", "jsonl") else None
                rows: RowOutput = SplitOutput(
                    self._form.split, open_part, mark or self._form.delimiter.encode()
                )
            else:
                rows = open_part("")
            target = sink.headed(rows, self._form.split.by is not None)
            with portable(self._session, utc=self._form.format in _TYPED):
                number = self._copied(statement, target, columns)
            rows.end_file()
        return number

    def _copied(self, statement: RenderedSql, target: Any, columns: Sequence[Exported]) -> int:
        try:
            by_row = not isinstance(target, TextOutput)
            return copy_out(self._session, statement, target, by_row=by_row)
        except DataError as error:
            _, refused, place = str(error).partition(JSON_NULL)
            if not refused:
                raise
            name = columns[int(place.partition('"')[0])].name
            raise JobFailure(
                f"{self._path}: the column {name} holds the JSON value null, which a JSON file "
                f"cannot tell from NULL: select nullif({name}::text, 'null')::json to make it "
                "NULL, or write CSV or Parquet, which tell them apart"
            ) from None

    def _packed(self, file: IO[bytes], path: str) -> Any:
        inside = name_inside(PurePosixPath(path).name)
        return packed(file, self._form.outer, inside)


class _Sink:
    """Makes the output of each file; all begin with the header that COPY gives once."""

    def __init__(self, form: ExportForm, names: Sequence[str], types: Sequence[Any]) -> None:
        self._form, self._names, self._types = form, names, types
        self._header = BOM if form.bom else b""

    def output(self, file: IO[bytes]) -> RowOutput:
        form = self._form
        if form.format == "parquet":
            return ParquetOutput(file, self._names, self._types, form.packing)
        if form.format == "xlsx":
            return SheetOutput(file, self._names, self._types)
        if form.format == "json":
            return JsonOutput(file)
        return TextOutput(file, self._header)

    def headed(self, rows: RowOutput, by_key: bool) -> Any:
        """Return what COPY writes into: `rows`, but for the header where files are several."""
        form = self._form
        if not (form.split.splits and form.header and form.format in _TEXTS):
            return rows
        return _Headed(rows, self, form.delimiter.encode() if by_key else None)

    def note_header(self, row: bytes) -> None:
        self._header += row


class _Headed:
    """Keeps the first row as the header of every file."""

    def __init__(self, rows: RowOutput, sink: _Sink, mark: bytes | None) -> None:
        self._write, self._sink, self._mark = rows.write, sink, mark
        self._begun = False

    def write(self, row: bytes) -> None:
        if self._begun:
            self._write(row)
            return
        self._begun = True
        self._sink.note_header(row if self._mark is None else row.partition(self._mark)[2])
