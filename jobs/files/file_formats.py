"""Tells what format a file has: by its content, where that shows, otherwise by its name."""

import zipfile
from typing import BinaryIO, Literal

from headrace.jobs.files.packing import name_inside, packing_by_content, unpacked
from headrace.jobs.files.text_files import FileSource

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "xlsx"]

_SUFFIXES: dict[str, Format] = {
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "json": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
    "xlsx": "xlsx",
    "xlsm": "xlsx",
    "xls": "xlsx",
    "xlsb": "xlsx",
    "ods": "xlsx",
}
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
# What a workbook has in its archive: Excel's in either form, LibreOffice's.
_WORKBOOK = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
BINARY: tuple[Format, ...] = ("parquet", "xlsx")


def format_by_name(name: str) -> Format | None:
    """Return the format of a file of this name, None where it does not show."""
    return _SUFFIXES.get(name_inside(name).rpartition(".")[2].lower())


def format_of(source: FileSource, declared: Format | None) -> Format:
    """Return the format of a file: what it is, what was declared, what it is called, or CSV."""
    return _by_content(source) or declared or format_by_name(source.name) or "csv"


def _by_content(source: FileSource) -> Format | None:
    with source.open() as file:
        start = file.read(8)
        file.seek(0)
        if packing_by_content(start) == "zip" and _is_workbook(file):
            return "xlsx"
        file.seek(0)
        if start.startswith(_OLD_EXCEL):
            return "xlsx"
        if start.startswith(b"PAR1") and _ends_as_parquet(file):
            return "parquet"
        if packing_by_content(start) == "none":
            return None
        with unpacked(file, source.name) as plain:
            return "parquet" if plain.peek(8).startswith(b"PAR1") else None


def _is_workbook(file: BinaryIO) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name in _WORKBOOK for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _ends_as_parquet(file: BinaryIO) -> bool:
    """Return whether a file is Parquet, not a text that begins with the same letters."""
    file.seek(0)
    head = file.read(64)
    return any(byte < 9 for byte in head)
