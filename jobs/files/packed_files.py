"""Opens files for reading: what they are packed in and written in is told by their content."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from headrace.errors import JobFailure

_GZIP = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 1 << 28

# What begins so is no text, and nothing that is unpacked here.
_FOREIGN = (
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"PK\x03\x04", "a zip archive (or a spreadsheet, which is one)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"\x1f\x9d", "compressed with compress"),
    (b"PAR1", "a Parquet file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"SQLite format 3\x00", "an SQLite database"),
)
_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_CONTROL = re.compile(rb"[\x00-\x08]")
_ENCODINGS = "convert it to UTF-8, as in: iconv -f {} -t UTF-8"


@contextmanager
def open_text(path: Path, name: str) -> Iterator[IO[str]]:
    """Open a UTF-8 text, packed with gzip or not, whatever it is called.

    `name` is what errors call it. A byte order mark is skipped; line ends stay as they are. What
    the block raises because the file is cut short or no UTF-8 is told with its name and line.

    Raises:
        JobFailure: it is packed otherwise, no text, cut short, or no UTF-8.
    """
    with path.open("rb") as file, _unpacked(file, name) as plain:
        _refuse_foreign(_beginning(plain), name)
        text = io.TextIOWrapper(plain, encoding="utf-8-sig", newline="")
        try:
            yield text
        except UnicodeDecodeError:
            raise JobFailure(_no_utf8(path, name)) from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _cut_short(name, error) from None
        finally:
            text.detach()


@contextmanager
def _unpacked(file: BinaryIO, name: str) -> Iterator[io.BufferedReader]:
    start = file.read(2)
    file.seek(0)
    if start != _GZIP:
        yield cast("io.BufferedReader", file)
        return
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as packed:
            yield io.BufferedReader(packed, _BLOCK_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _cut_short(name, error) from None


def _beginning(plain: io.BufferedReader) -> bytes:
    return plain.peek(1 << 10)[: 1 << 10]


def _cut_short(name: str, error: Exception) -> JobFailure:
    if isinstance(error, EOFError):
        return JobFailure(f"{name}: is truncated: its gzip stream ends before its end mark")
    return JobFailure(f"{name}: its gzip stream is damaged: {error}")


def foreign_kind(start: bytes) -> str | None:
    """Tell what a file or an answer is that begins so, where nothing here unpacks it."""
    for magic, what in _FOREIGN:
        # A column may be called PAR1: binary data has control characters soon.
        if start.startswith(magic) and (not magic.isalnum() or _CONTROL.search(start)):
            return what
    return None


def _refuse_foreign(start: bytes, name: str) -> None:
    what = foreign_kind(start)
    if what is not None:
        raise JobFailure(
            f"{name}: is {what}; files are read as plain text or packed with gzip: unpack or "
            "convert it first"
        )
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            raise JobFailure(
                f"{name}:1: is written in {encoding}, not in UTF-8: {_ENCODINGS.format(encoding)}"
            )
    if b"\x00" in start:
        wide = len(start) > 3 and start.count(b"\x00") * 3 >= len(start)
        what = "UTF-16 without a byte order mark" if wide else "not a text: it contains NUL bytes"
        raise JobFailure(f"{name}:{start[: start.index(0)].count(10) + 1}: is {what}")


def _no_utf8(path: Path, name: str) -> str:
    """Return where a file stops being UTF-8; it is read once more, line by line."""
    line = 1
    with path.open("rb") as file, _unpacked(file, name) as plain:
        for raw in iter(lambda: plain.readline(_LONGEST_LINE_BYTES), b""):
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                byte = raw[error.start]
                return (
                    f"{name}:{line}: is not UTF-8: byte 0x{byte:02x} at character "
                    f"{len(raw[: error.start].decode()) + 1} of the line; it looks like "
                    f"{_guess(raw)}: {_ENCODINGS.format(_guess(raw))}"
                )
            line += raw.endswith(b"\n")
    return f"{name}: is not UTF-8"


def _guess(raw: bytes) -> str:
    """Return the usual encoding that a line is probably written in."""
    # 0x80 to 0x9f are letters and signs of Windows, and control characters of Latin-1.
    return "WINDOWS-1252" if any(0x80 <= byte <= 0x9F for byte in raw) else "LATIN1"
