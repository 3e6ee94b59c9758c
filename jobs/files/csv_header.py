"""Reads the lines before the records of a CSV text: those that are skipped, and the header."""

from typing import IO, NamedTuple

from headrace.errors import JobFailure
from headrace.jobs.files.csv_form import CsvForm

_LONGEST_LINE = 1 << 28
_LONGEST_HEADER = 1 << 22


def pass_lines(file: IO[str], count: int, comment: str | None) -> tuple[int, str]:
    """Pass over the first `count` lines and the comments behind them.

    Returns how many lines were passed over, and the first one that was not.
    """
    passed = 0
    while line := file.readline(_LONGEST_LINE):
        if passed >= count and not (comment and line.startswith(comment)):
            break
        passed += 1
    return passed, line


def pass_first(file: IO[str], count: int) -> int:
    """Pass over the first `count` lines, and return how many there were."""
    return sum(1 for _ in range(count) if file.readline(_LONGEST_LINE))


class FirstRecord(NamedTuple):
    """The names in the first record, where it begins, the lines up to its end.

    `old_mac`: lines end with a carriage return alone.
    """

    names: list[str]
    line: int
    lines: int
    old_mac: bool


def read_names(file: IO[str], name: str, form: CsvForm) -> FirstRecord:
    """Return the names in the first record.

    Raises:
        JobFailure: there is none, or it is no CSV.
    """
    before, record = pass_lines(file, form.skip_lines, form.comment)
    lines = record.count("\n")
    while record.count(form.quote) % 2 and len(record) < _LONGEST_HEADER:
        line = file.readline(_LONGEST_HEADER)
        if not line:
            break
        record, lines = record + line, lines + line.count("\n")
    old_mac = record.endswith("\r")
    if not record.strip("\r\n"):
        what = "begins with an empty line" if record else "the file is empty"
        raise JobFailure(f"{name}: {what}, a header was expected")
    if record.count(form.quote) % 2 or len(record) >= _LONGEST_HEADER:
        raise JobFailure(f"{name}:{before + 1}: a quoted name in the header is never closed")
    names = _fields(record.rstrip("\r\n"), f"{name}:{before + 1}", form.delimiter, form.quote)
    return FirstRecord(names, before + 1, before + max(lines, 1), old_mac)


def _fields(record: str, place: str, delimiter: str, quote: str) -> list[str]:
    """Return the fields of one record, unquoted, without blanks around them."""
    fields, start = [], 0
    while True:
        if record[start : start + 1] != quote:
            end = record.find(delimiter, start)
            field = record[start:] if end < 0 else record[start:end]
            if quote in field:
                raise JobFailure(f"{place}: a quote is inside a name of the header: {field!r}")
        else:
            field, end = _quoted(record, start, quote)
            if record[end : end + 1] not in ("", delimiter):
                raise JobFailure(f"{place}: a quote is inside a name of the header: {field!r}")
            end = end if end < len(record) else -1
        fields.append(field.strip())
        if end < 0:
            return fields
        start = end + len(delimiter)


def _quoted(record: str, start: int, quote: str) -> tuple[str, int]:
    """Return the quoted field that begins at `start`, and where it ends."""
    end = start + 1
    while True:
        end = record.index(quote, end)
        if record[end + 1 : end + 2] != quote:
            return record[start + 1 : end].replace(quote * 2, quote), end + 1
        end += 2
