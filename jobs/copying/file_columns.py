"""Finds out which columns a file has, and which of the table's they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from headrace.errors import JobFailure
from headrace.errors.shortened import shortened
from headrace.jobapi import logger
from headrace.jobs.files.csv_form import CsvForm
from headrace.jobs.files.csv_header import read_names
from headrace.jobs.tables.table_catalog import Column
from headrace.template.identifiers import MAX_BYTES

_OTHER_DELIMITERS = {";": "';'", "\t": '"\\t"', "|": "'|'"}


@dataclass(frozen=True, slots=True)
class Header:
    """The names in a file's header, which begins on `line`; the first `lines` are read by then.

    `unnamed_last`: behind the last delimiter there is no name. `old_mac`: lines end with a
    carriage return alone.
    """

    names: list[str]
    lines: int = 0
    line: int = 1
    unnamed_last: bool = False
    old_mac: bool = False


def read_header(file: IO[str], name: str, form: CsvForm) -> Header:
    """Return the header of a CSV text.

    Raises:
        JobFailure: there is none, or a name is missing, too long, or stands there twice.
    """
    names, line, lines, old_mac = read_names(file, name, form)
    place = f"{name}:{line}"
    if len(names) == 1:
        for other, written in _OTHER_DELIMITERS.items():
            if other != form.delimiter and other in names[0]:
                raise JobFailure(
                    f"{place}: the header is one name, {shortened(names[0])!r}: with "
                    f"`delimiter: {written}` it is several"
                )
    unnamed_last = len(names) > 1 and not names[-1]
    if unnamed_last:
        names = names[:-1]
    for position, column in enumerate(names, 1):
        if not column:
            raise JobFailure(f"{place}: the column {position} of the header has no name")
        if len(column.encode()) > MAX_BYTES:
            raise JobFailure(
                f"{place}: the name of column {position}, {shortened(column)!r}, is longer than"
                f" the {MAX_BYTES} bytes that PostgreSQL takes"
            )
        if column in names[: position - 1]:
            raise JobFailure(f"{place}: the column {column!r} occurs twice in the header")
    return Header(names, lines, line, unnamed_last, old_mac)


def declared_fits(header: Header, declared: Sequence[str], name: str, *, all_of_them: bool) -> None:
    """Refuse a header that lacks a declared column, or has more than `all_of_them`.

    Raises:
        JobFailure: naming the first such column.
    """
    for column in declared:
        if column not in header.names and _alike(column, header.names) is None:
            raise JobFailure(
                f"{name}:{header.line}: has no column {column!r}; its columns: "
                f"{', '.join(header.names)}. "
                "Where there is a header, `columns` is matched with it by name"
            )
    if not all_of_them:
        return
    for column in header.names:
        if column not in declared and _alike(column, declared) is None:
            raise JobFailure(
                f"{name}:{header.line}: the header has a column {column!r} that `columns` does not "
                "list: list every column of the file, in any order, or leave `columns` out"
            )


def match_header(header: Header, columns: Sequence[Column], name: str, table: str) -> list[Column]:
    """Return the table's column for each name: the same, else the same but for upper case.

    Raises:
        JobFailure: a name has no column, or two have the same one.
    """
    found: list[Column] = []
    for written in header.names:
        column = matching(written, columns)
        place = f"{name}:{header.line}" if header.lines else name
        if column is None:
            known = ", ".join(one.name for one in columns)
            raise JobFailure(
                f"{place}: {table} has no column {written!r} that takes values; it has: {known}. "
                "`on_schema_change` says what else to do with a column that the table lacks"
            )
        if column in found:
            raise JobFailure(f"{place}: two names mean the column {column.name!r}")
        if column.name != written:
            logger.info("%s: %s goes into the column %s", name, written, column.name)
        found.append(column)
    return found


def matching(written: str, columns: Sequence[Column]) -> Column | None:
    """Return the column of this name, else the only one that differs in upper case alone."""
    names = [column.name for column in columns]
    if written in names:
        return columns[names.index(written)]
    alike = _alike(written, names)
    return None if alike is None else columns[names.index(alike)]


def _alike(written: str, names: Sequence[str]) -> str | None:
    alike = [name for name in names if name.casefold() == written.casefold()]
    return alike[0] if len(alike) == 1 else None
