"""Reads CSV record by record, for files with records that cannot be read: each is told apart."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

from headrace.jobs.files.arrow_csv import null_options, parse_options
from headrace.jobs.files.csv_form import CsvForm
from headrace.jobs.files.escaped_records import STRAY, stray_escape
from headrace.jobs.files.optional_library import library

_LONGEST_RECORD = 1 << 20
_RECORDS_READ = 1000
_QUOTE = "a quote is inside a field"


@dataclass(frozen=True, slots=True)
class Record:
    """A record: the line on which it begins, its text, its values or why it has none."""

    line: int
    raw: str
    values: tuple[str | None, ...] = ()
    reason: str = ""


def careful_records(
    file: IO[str], form: CsvForm, width: int, first_line: int, name: str
) -> Iterator[Record]:
    """Yield every record of an open CSV text, `width` fields each; blank lines are none."""
    waiting: list[Record] = []
    sound, stray = _sound(form), stray_escape(form)
    for record in _records(file, form, first_line, one_column=width == 1):
        quoted = form.quote in record.raw and form.escape is None
        if record.reason or (quoted and not sound.fullmatch(record.raw.rstrip("\r\n"))):
            yield from _parsed(waiting, form, width, name)
            waiting = []
            yield Record(record.line, record.raw, reason=record.reason or _QUOTE)
            continue
        if stray is not None and stray.search(record.raw):
            yield from _parsed(waiting, form, width, name)
            waiting = []
            yield Record(record.line, record.raw, reason=STRAY)
            continue
        waiting.append(record)
        if len(waiting) == _RECORDS_READ:
            yield from _parsed(waiting, form, width, name)
            waiting = []
    yield from _parsed(waiting, form, width, name)


def _sound(form: CsvForm) -> "re.Pattern[str]":
    """Return what matches a record whose quotes are where they may be."""
    field, delimiter = _field(form), re.escape(form.delimiter)
    return re.compile(f"{field}(?:{delimiter}{field})*", re.DOTALL)


def _begun(form: CsvForm) -> "re.Pattern[str]":
    """Return what matches a line in which the last field begins with a quote that stays open."""
    quote = re.escape(form.quote)
    before = f"(?:{_field(form)}{re.escape(form.delimiter)})*"
    return re.compile(f"{before}{quote}(?:[^{quote}]|{quote}{quote})*", re.DOTALL)


def _field(form: CsvForm) -> str:
    quote, delimiter = re.escape(form.quote), re.escape(form.delimiter)
    return f"(?:{quote}(?:[^{quote}]|{quote}{quote})*{quote}|[^{quote}{delimiter}]*)"


def _records(
    file: IO[str], form: CsvForm, first_line: int, *, one_column: bool
) -> Iterator[Record]:
    """Put the lines together that a quoted field holds together."""
    lines: Iterator[tuple[int, str]] = enumerate(file, first_line)
    begun = _begun(form)
    while True:
        number, line = next(lines, (0, ""))
        if not line:
            return
        blank = not line.strip("\r\n") and not one_column
        if blank or (form.comment is not None and line.startswith(form.comment)):
            continue
        parts, size = [(number, line)], len(line)
        open_quote = form.changes_quoting(line)
        if open_quote and form.escape is None and not begun.fullmatch(line):
            # The quote opens nothing: the next line is a record of its own.
            yield Record(number, line, reason=_QUOTE)
            continue
        while open_quote and size < _LONGEST_RECORD:
            following = next(lines, None)
            if following is None:
                break
            parts.append(following)
            size += len(following[1])
            open_quote ^= form.changes_quoting(following[1])
        if open_quote:
            # The quote belongs to the first line alone: what follows are records again.
            lines = chain(parts[1:], lines)
            yield Record(number, line, reason="a quoted field begins here and is never closed")
        else:
            yield Record(number, "".join(text for _, text in parts))


def _parsed(records: list[Record], form: CsvForm, width: int, name: str) -> Iterator[Record]:
    """Yield records with their values, as pyarrow reads them."""
    if not records:
        return
    wrong: dict[int, str] = {}
    text = "".join(record.raw.rstrip("\r\n") + "\n" for record in records)
    table = _table(text, form, [str(at) for at in range(width)], name, wrong)
    rows = iter(zip(*(column.to_pylist() for column in table.columns), strict=True))
    for at, record in enumerate(records):
        if at in wrong:
            yield Record(record.line, record.raw, reason=wrong[at])
        else:
            yield Record(record.line, record.raw, next(rows))


def _table(text: str, form: CsvForm, names: list[str], name: str, wrong: dict[int, str]) -> Any:
    """Read records as texts; a record of another length goes to `wrong`, by its number from 0."""
    what = f"{name}: reading CSV in this form"
    arrow, csv = library("pyarrow", what), library("pyarrow.csv", what)

    def note(row: Any) -> str:
        wrong[row.number - 1] = (
            f"the record has {row.actual_columns} fields instead of {row.expected_columns}"
        )
        return "skip"

    return csv.read_csv(
        io.BytesIO(text.encode("utf-8", "surrogatepass")),
        read_options=csv.ReadOptions(
            column_names=names, use_threads=False, block_size=len(text) * 4 + 1024
        ),
        parse_options=csv.ParseOptions(
            **parse_options(form, one_column=len(names) == 1), invalid_row_handler=note
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, arrow.string()), **null_options(form)
        ),
    )
