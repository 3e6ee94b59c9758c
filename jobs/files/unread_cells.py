"""Finds the cells of an xlsx workbook that the reader of spreadsheets takes for empty ones.

Those are errors, such as #N/A, and formulas that no program has computed.
"""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from posixpath import join, normpath
from typing import IO, BinaryIO

_BLOCK_BYTES = 1 << 20
_TAIL_BYTES = 1 << 16
_MARKS = (b't="e"', b"t='e'", b"<f", b":f")
_CELL = re.compile(rb"<(?:\w+:)?c\s([^>]*[^/>])>(.*?)</(?:\w+:)?c>", re.DOTALL)
_CELL_END = re.compile(rb"</(?:\w+:)?c>")
_PLACE = re.compile(rb"\br\s*=\s*[\"']([A-Z]+)(\d+)[\"']")
_TYPE = re.compile(rb"\bt\s*=\s*[\"'](\w+)[\"']")
_VALUE = re.compile(rb"<(?:\w+:)?v>([^<]+)</")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")


@dataclass(frozen=True, slots=True)
class Unread:
    """A cell by its row and column, both from 1; `error` is what stands there, "" a formula."""

    row: int
    column: int
    place: str
    error: str


def unread_cells(file: BinaryIO, sheet: str) -> Iterator[Unread]:
    """Yield such cells of a sheet in their order; none of a workbook of another format."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as book:
        part = _part_of(book, sheet)
        if part is None:
            return
        with book.open(part) as xml:
            for attributes, content in _cells(xml):
                place = _PLACE.search(attributes)
                kind, value = _TYPE.search(attributes), _VALUE.search(content)
                if place is None:
                    continue
                is_error = kind is not None and kind[1] == b"e"
                # A formula whose text is empty has been computed.
                is_formula = kind is None or kind[1] != b"str"
                if is_error or (is_formula and not value and _FORMULA.search(content)):
                    error = value[1].decode() if is_error and value else ""
                    where = (place[1] + place[2]).decode()
                    yield Unread(int(place[2]), _number_of(place[1]), where, error)


def _part_of(book: zipfile.ZipFile, sheet: str) -> str | None:
    """Return the name of the file inside the workbook that has a sheet."""
    try:
        sheets = _elements(book.read("xl/workbook.xml").decode(), "sheet")
        targets = _elements(book.read("xl/_rels/workbook.xml.rels").decode(), "Relationship")
    except (KeyError, UnicodeDecodeError):
        return None
    wanted = next((one.get("id") for one in sheets if one.get("name") == sheet), None)
    for one in targets:
        if wanted is not None and one.get("Id") == wanted:
            part = normpath(join("/xl", one.get("Target", ""))).lstrip("/")
            return part if part in book.namelist() else None
    return None


def _elements(xml: str, tag: str) -> Iterator[dict[str, str]]:
    """Yield the attributes of the elements of this name, without their prefixes."""
    for found in re.finditer(rf"""<(?:\w+:)?{tag}\s((?:[^>"']|"[^"]*"|'[^']*')*)>""", xml):
        given = re.finditer(r"""(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)')""", found[1])
        yield {one[1]: unescape(one[2] or one[3] or "") for one in given}


def _cells(xml: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the attributes and the content of each cell that may be one of those."""
    left = b""
    while block := xml.read(_BLOCK_BYTES):
        left += block
        whole = 0
        for found in _CELL_END.finditer(left, max(0, len(left) - _TAIL_BYTES)):
            whole = found.end()
        # Most sheets have neither errors nor formulas.
        if any(mark in left[:whole] for mark in _MARKS):
            for cell in _CELL.finditer(left, 0, whole):
                yield cell[1], cell[2]
        left = left[whole:]


def _number_of(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
