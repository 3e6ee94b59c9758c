"""Finds the files that a load reads: one, those of a folder, or those that match a pattern."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi.folders import MissingFile
from headrace.jobs.copying.columnar_file import ColumnarFile
from headrace.jobs.copying.csv_file import CsvFile
from headrace.jobs.copying.file_reading import DataFile, Reading
from headrace.jobs.copying.json_file import JsonFile
from headrace.jobs.files.columnar_files import open_parquet, open_sheet
from headrace.jobs.files.file_formats import Format, format_of
from headrace.jobs.files.json_document import items
from headrace.jobs.files.text_files import FileSource, open_text

_WILD = "*?["
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Digest:
    """What identifies a file's content."""

    sha256: str
    size_bytes: int


def is_pattern(path: str) -> bool:
    """Return whether a path is a pattern."""
    return any(mark in path for mark in _WILD)


def find_sources(path: str) -> list[FileSource]:
    """Return the files that a path means, in the order of their names.

    A folder means the files in it, hidden ones left out; `**` means folders at any depth.

    Raises:
        JobFailure: the path leaves the folders, or it is one file that is missing.
    """
    if is_pattern(path):
        fixed, pattern = _split(path)
        folder = jobapi.current().resolve_path(fixed)
        found = folder.glob(pattern) if folder.is_dir() else iter(())
    else:
        folder = jobapi.current().resolve_path(path)
        fixed = path
        if not folder.is_dir():
            return [FileSource.at(jobapi.current().find_file(path), path)]
        found = folder.glob("*")
    names = sorted(
        str(PurePosixPath(fixed) / one.relative_to(folder).as_posix())
        for one in found
        if one.is_file() and not any(part[0] == "." for part in one.relative_to(folder).parts)
    )
    return [FileSource.at(jobapi.current().find_file(name), name) for name in names]


def _split(path: str) -> tuple[str, str]:
    """Return the folder before the first part with a mark, and the pattern behind it."""
    parts = PurePosixPath(path).parts
    at = next(n for n, part in enumerate(parts) if any(mark in part for mark in _WILD))
    if PurePosixPath(path).is_absolute():
        raise JobFailure(f'the path "{path}" is absolute: a pattern is relative, too')
    return str(PurePosixPath(*parts[:at])) if at else ".", str(PurePosixPath(*parts[at:]))


def digest_of(source: FileSource) -> Digest:
    """Return the digest of a file's content, as it lies there."""
    found, size = hashlib.sha256(), 0
    with source.open() as file:
        while block := file.read(_BLOCK_BYTES):
            found.update(block)
            size += len(block)
    return Digest(found.hexdigest(), size)


def data_file(
    source: FileSource, declared: Format | None, encoding: str | None, reading: Reading
) -> DataFile:
    """Return a file as what a load copies, by its format.

    Raises:
        JobFailure: there is no such file any more.
    """
    try:
        format_ = format_of(source, declared)
    except FileNotFoundError as error:
        raise MissingFile(f'there is no file "{source.name}": {error.strerror}') from None
    if format_ == "parquet":
        return ColumnarFile(source.name, lambda: open_parquet(source), reading)
    if format_ == "xlsx":
        form = reading.form
        return ColumnarFile(
            source.name,
            lambda: open_sheet(source, reading.sheet, form.skip_lines, header=form.header),
            reading,
        )
    if format_ in ("json", "jsonl"):
        return _json(source, encoding, reading, is_document=format_ == "json")
    return CsvFile(source.name, lambda: open_text(source, encoding), reading)


def _json(
    source: FileSource, encoding: str | None, reading: Reading, *, is_document: bool
) -> JsonFile:
    @contextmanager
    def opened() -> Iterator[Iterator[tuple[int, str]]]:
        with open_text(source, encoding) as file:
            yield items(file, source.name) if is_document else _lines(file)

    return JsonFile(source.name, opened, reading)


def _lines(file: IO[str]) -> Iterator[tuple[int, str]]:
    return enumerate(file, 1)
