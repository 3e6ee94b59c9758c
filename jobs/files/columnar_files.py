"""Reads Parquet files and spreadsheets in columns, a batch at a time."""

import datetime
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast
from zipfile import BadZipFile

from headrace.errors import JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.files.optional_library import library
from headrace.jobs.files.packing import unpacked
from headrace.jobs.files.text_files import FileSource
from headrace.jobs.files.unread_cells import Unread, unread_cells

_BATCH_ROWS = 16_384
_IN_MEMORY_BYTES = 32 << 20
_BLOCK_BYTES = 1 << 20
_EXACT_INTEGER = 2**53


@dataclass(frozen=True, slots=True)
class Columnar:
    """An open file with columns: their names, the batches, and the line of the first row."""

    names: Sequence[str]
    batches: Iterator[Any]
    first_line: int = 1


@contextmanager
def open_parquet(source: FileSource) -> Iterator[Columnar]:
    """Open a Parquet file, packed or not.

    Raises:
        JobFailure: it is damaged or ends early.
    """
    arrow = library("pyarrow", f"{source.name}: reading Parquet")
    parquet = library("pyarrow.parquet", f"{source.name}: reading Parquet")
    with _seekable(source) as file:
        try:
            with parquet.ParquetFile(file) as opened:
                names = list(opened.schema_arrow.names)
                yield Columnar(names, opened.iter_batches(_BATCH_ROWS))
        except (arrow.ArrowInvalid, OSError) as error:
            told = str(error).partition("\n")[0]
            raise JobFailure(f"{source.name}: is no whole Parquet file: {told}") from None


@contextmanager
def open_sheet(
    source: FileSource, sheet: str | int | None, skip_lines: int, *, header: bool
) -> Iterator[Columnar]:
    """Open a sheet of a spreadsheet (xlsx, xls, xlsb, ods), by default the first one.

    Every value is a text: a date as PostgreSQL reads it, a whole number without a point, an error
    of an xlsx file as it is shown.

    Raises:
        JobFailure: it is damaged, there is no such sheet, or a formula has no value.
    """
    calamine = library("python_calamine", f"{source.name}: reading a spreadsheet")
    library("pyarrow", f"{source.name}: reading a spreadsheet")
    with _seekable(source, unpack=False) as file:
        try:
            book = calamine.load_workbook(file)
            opened = _sheet(book, sheet, source.name)
            rows = _with_unread(opened, _told(unread_cells(file, opened.name), source.name))
        except (calamine.CalamineError, ValueError, OSError) as error:
            raise _unreadable(source.name, error) from None
        for _ in range(skip_lines):
            next(rows, None)
        names = [_text(value, source.name) or "" for value in next(rows, [])] if header else []
        while names and not names[-1]:
            names.pop()
        batches = _in_batches(rows, names, source.name)
        yield Columnar(names, batches, skip_lines + 1 + header)


def _told(cells: Iterator[Unread], name: str) -> Iterator[Unread]:
    """Yield the cells; a part of the workbook that only they are looked up in may be damaged."""
    try:
        yield from cells
    except BadZipFile as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: Exception) -> JobFailure:
    return JobFailure(f"{name}: is no spreadsheet that can be read: {error}")


def _sheet(book: Any, sheet: str | int | None, name: str) -> Any:
    found = list(book.sheet_names)
    if isinstance(sheet, str):
        if sheet not in found:
            raise JobFailure(f"{name}: has no sheet {sheet!r}; its sheets: {', '.join(found)}")
        return book.get_sheet_by_name(sheet)
    number = 1 if sheet is None else sheet
    if not 1 <= number <= len(found):
        raise JobFailure(f"{name}: has {len(found)} sheets, no number {number}")
    return book.get_sheet_by_index(number - 1)


def _with_unread(sheet: Any, unread: Iterator[Unread]) -> Iterator[list[Any]]:
    """Yield all rows from the sheet's first one, with the cells that its reader leaves empty."""
    rows, first_column = sheet.iter_rows(), (sheet.start or (0, 0))[1] + 1
    cell = next(unread, None)
    for number in count(1):
        row = next(rows, None)
        if row is None and cell is None:
            return
        row = row or []
        while cell is not None and cell.row == number:
            at = cell.column - first_column
            row += [None] * (at + 1 - len(row))
            if at >= 0:
                row[at] = cell
            cell = next(unread, None)
        yield row


def _in_batches(rows: Iterator[list[Any]], names: Sequence[str], name: str) -> Iterator[Any]:
    """Yield batches of texts; without names there are as many columns as in the first row."""
    width, beside = len(names), 0
    kept: list[list[str | None]] = []
    for row in rows:
        width = width or len(row)
        texts = [_text(value, name) for value in row[:width]]
        beside += any(value not in (None, "") for value in row[width:])
        kept.append(texts + [None] * (width - len(texts)))
        if len(kept) == _BATCH_ROWS:
            yield _batch(kept, width)
            kept = []
    while kept and not any(value is not None for value in kept[-1]):
        kept.pop()  # Rows behind the last value that have only been formatted.
    if kept:
        yield _batch(kept, width)
    if beside:
        logger.warning(
            "%s: values behind the last column that has a name are left out, in %s",
            name, number_of(beside, "row"),
        )  # fmt: skip


def _batch(rows: list[list[str | None]], width: int) -> Any:
    arrow = library("pyarrow", "")
    arrays = [arrow.array([row[at] for row in rows], arrow.string()) for at in range(width)]
    return arrow.record_batch(arrays, names=[str(at) for at in range(width)])


def _text(value: Any, name: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) <= _EXACT_INTEGER
        sign = "-" if value == 0 and math.copysign(1, value) < 0 else ""
        return f"{sign}{int(value)}" if whole else repr(value)
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds()} seconds"
    if isinstance(value, Unread) and not value.error:
        raise JobFailure(
            f"{name}: the formula in the cell {value.place} has no value: no program has computed "
            "it. Open the file in a spreadsheet program, store it, and load it again"
        )
    return value.error if isinstance(value, Unread) else str(value)


@contextmanager
def _seekable(source: FileSource, *, unpack: bool = True) -> Iterator[BinaryIO]:
    """Give a file in which one can jump: an unpacked one goes into a temporary file first."""
    with source.open() as file:
        start = file.read(4)
        file.seek(0)
        if not unpack or start == b"PAR1":
            yield file
            return
        with unpacked(file, source.name) as plain, SpooledTemporaryFile(_IN_MEMORY_BYTES) as whole:
            while block := plain.read(_BLOCK_BYTES):
                whole.write(block)
            whole.seek(0)
            yield cast("BinaryIO", whole)
