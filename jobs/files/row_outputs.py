"""Writes rows, as COPY gives them one by one, to files of several formats."""

import datetime
import io
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import IO, Any, Protocol

from headrace.errors import JobFailure
from headrace.errors.numbers import number_of
from headrace.errors.shortened import shortened
from headrace.jobapi import logger
from headrace.jobs.files.arrow_csv import Unfit
from headrace.jobs.files.optional_library import library
from headrace.jobs.files.packing import Packing

BOM = b"\xef\xbb\xbf"
_BUFFER_BYTES = 4 << 20
_SHEET_ROWS = 1_048_576
_CELL_CHARACTERS = 32_767
_EXACT_INTEGER = 2**53
# The format takes `_x0041_` in a text for the character of that number.
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
# A reader makes a line end of the one, and takes a text of blanks alone for none.
_UNSAFE = re.compile(r"\r|\A[ \t\n](?=\s*\Z)")
_CODECS: dict[Packing, str] = {"none": "snappy", "gz": "gzip", "zst": "zstd"}


class RowOutput(Protocol):
    """A file that takes rows."""

    def write(self, row: bytes) -> object: ...

    def end_file(self) -> None:
        """Write what is left, and the end."""

    def let_go(self) -> None:
        """Close what is open beside the file, finished or not."""


class TextOutput:
    """CSV or JSON Lines: rows as they come, behind a header."""

    def __init__(self, file: IO[bytes], header: bytes = b"") -> None:
        file.write(header)
        self.write = file.write

    def end_file(self) -> None:
        """Leave it as it is: nothing follows the last row."""

    def let_go(self) -> None:
        """Close nothing: there is only the file."""


class JsonOutput:
    """A JSON document: the list of the rows, one a line."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._between = b"[\n"

    def write(self, row: bytes) -> None:
        self._file.write(self._between + row.rstrip(b"\n"))
        self._between = b",\n"

    def end_file(self) -> None:
        """Close the list."""
        self._file.write(b"[]\n" if self._between == b"[\n" else b"\n]\n")

    def let_go(self) -> None:
        """Close nothing: there is only the file."""


class _Typed(ABC):
    """Takes rows of CSV without a header, and makes batches of them with the columns' types."""

    def __init__(self, names: Sequence[str], types: Sequence[Any]) -> None:
        self._arrow, self._csv = library("pyarrow", "the format"), library("pyarrow.csv", "")
        self._types = {str(at): kind for at, kind in enumerate(types)}
        self.schema = self._arrow.schema(list(zip(names, types, strict=True)))
        self._rows: list[bytes] = []
        self._size = 0

    def write(self, row: bytes) -> None:
        self._rows.append(row)
        self._size += len(row)
        if self._size >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self._rows:
            return
        text = io.BytesIO(b"".join(self._rows))
        self._rows, self._size = [], 0
        try:
            table = self._csv.read_csv(
                text,
                read_options=self._csv.ReadOptions(
                    column_names=list(self._types), block_size=4 * _BUFFER_BYTES
                ),
                parse_options=self._csv.ParseOptions(
                    newlines_in_values=True, ignore_empty_lines=len(self._types) > 1
                ),
                convert_options=self._csv.ConvertOptions(
                    column_types=self._types,
                    null_values=[""],
                    true_values=["t"],
                    false_values=["f"],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except self._arrow.ArrowInvalid as error:
            raise Unfit(str(error)) from None
        self.store_batch(table.rename_columns(self.schema.names))

    @abstractmethod
    def store_batch(self, table: Any) -> None:
        """Write rows that have their types."""


class ParquetOutput(_Typed):
    """A Parquet file; its columns are packed inside it."""

    def __init__(
        self, file: IO[bytes], names: Sequence[str], types: Sequence[Any], packing: Packing
    ) -> None:
        super().__init__(names, types)
        parquet = library("pyarrow.parquet", "writing Parquet")
        self._writer = parquet.ParquetWriter(file, self.schema, compression=_CODECS[packing])

    def store_batch(self, table: Any) -> None:
        self._writer.write_table(table)

    def end_file(self) -> None:
        """Write the last rows and the footer."""
        self.flush()
        self._writer.close()

    def let_go(self) -> None:
        """Close the writer, which else would write when it is collected."""
        self._writer.close()


class SheetOutput(_Typed):
    """A workbook with one sheet. A text is a text there, never a formula."""

    def __init__(self, file: IO[bytes], names: Sequence[str], types: Sequence[Any]) -> None:
        super().__init__(names, types)
        openpyxl = library("openpyxl", "writing a spreadsheet")
        cells = library("openpyxl.cell", "")
        self._illegal = library("openpyxl.utils.exceptions", "").IllegalCharacterError
        self._cell = cells.WriteOnlyCell
        self._book = openpyxl.Workbook(write_only=True)
        self._sheet = self._book.create_sheet("Data")
        self._file = file
        self._written = self._blank = 0
        self._saved = False
        self._append([self._text(name) for name in names])

    def store_batch(self, table: Any) -> None:
        for batch in table.to_batches():
            columns = [self._nearest(column).to_pylist() for column in batch.columns]
            for row in zip(*columns, strict=True):
                self._append([self._value(value) for value in row])
                has_value = any(value is not None and value != "" for value in row)
                self._blank = 0 if has_value else self._blank + 1

    def _nearest(self, column: Any) -> Any:
        """Return a column of `real` as the numbers that PostgreSQL shows: 0.1 is 0.1."""
        if column.type != self._arrow.float32():
            return column
        return column.cast(self._arrow.string()).cast(self._arrow.float64())

    def end_file(self) -> None:
        """Write the last rows, and the workbook as a whole."""
        self.flush()
        self._book.save(self._file)
        self._saved = True
        if self._blank:
            logger.warning(
                "No value in %s at the end: a spreadsheet ends before them",
                number_of(self._blank, "row"),
            )

    def let_go(self) -> None:
        """Remove the temporary file in which the rows are until the workbook is saved."""
        if not self._saved:
            self._sheet.close()
            self._sheet._writer.cleanup()  # noqa: SLF001 - it removes it at exit only

    def _append(self, row: list[Any]) -> None:
        if self._written == _SHEET_ROWS:
            raise JobFailure(
                f"a sheet has at most {_SHEET_ROWS} rows: split the export, or write CSV or Parquet"
            )
        self._sheet.append(row)
        self._written += 1

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) < _EXACT_INTEGER:
            return value
        if isinstance(value, float) and math.isfinite(value):
            return self._number(value)
        if isinstance(value, Decimal) and len(value.as_tuple().digits) <= 15:
            return float(value)
        if isinstance(value, datetime.date) and value.year >= 1900 and not _is_text(value):
            return value
        return self._text(str(value))

    def _number(self, value: float) -> Any:
        """Return a number with all its digits: the library writes sixteen."""
        if float(f"{value:.16g}") == value:
            return value
        cell = self._cell(self._sheet, value=value)
        cell._value = repr(value)  # noqa: SLF001 - which it writes as it is
        return cell

    def _text(self, text: str) -> Any:
        written = _escaped(text)
        # The library cuts what is longer.
        if len(written) > _CELL_CHARACTERS:
            raise JobFailure(
                f"a cell holds at most {_CELL_CHARACTERS} characters: {shortened(text)!r}"
            )
        try:
            cell = self._cell(self._sheet, value=written)
        except self._illegal:
            raise JobFailure(
                f"a spreadsheet cannot hold the control character in {shortened(text)!r}"
            ) from None
        cell.data_type = "s"
        return cell


def _escaped(text: str) -> str:
    """Return a text as the format has it."""
    return _UNSAFE.sub(lambda one: f"_x{ord(one[0]):04X}_", _ESCAPE.sub("_x005F_", text))


def _is_text(moment: datetime.date) -> bool:
    """Return whether a sheet has no place for it: it knows no zones, nor a part of 1 ms."""
    return isinstance(moment, datetime.datetime) and (
        moment.tzinfo is not None or moment.microsecond % 1000 > 0
    )
