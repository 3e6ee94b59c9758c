"""Opens files for reading as text: what they are written in is told, or shown by their content."""

import codecs
import io
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi.progress import open_metered
from headrace.jobs.files.packing import unpacked

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
# Longer marks first: UTF-32's begins like UTF-16's.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_WIDE = ("utf-16", "utf-32")
_BLOCK_BYTES = 1 << 16
_CONTROL = re.compile(rb"[\x00-\x08]")
_WINDOWS = re.compile(r"win(\d{3,4})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file to read, wherever it lies. `name` is what errors call it."""

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    size_bytes: int | None = None

    @classmethod
    def at(cls, path: Path, name: str) -> "FileSource":
        """Return a file of this machine."""
        return cls(name, lambda: open_metered(path, "rb", jobapi.meter()), _size_of(path))


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None  # Whoever opens it learns why.


def codec_of(encoding: str) -> str:
    """Return the codec for an encoding as PostgreSQL, Python or a web page calls it.

    Raises:
        InvalidPayload: nobody knows it, or it is none of text.
    """
    windows = _WINDOWS.fullmatch(encoding)
    try:
        found = codecs.lookup(f"cp{windows[1]}" if windows else encoding)
        "".encode(found.name)
    except (LookupError, ValueError):
        raise InvalidPayload(
            f"encoding: {encoding!r} is not known: use one such as utf-8, latin1, windows-1252, "
            "utf-16"
        ) from None
    # A mark at the beginning is no part of the text.
    return {"utf-8": "utf-8-sig"}.get(found.name, found.name)


@contextmanager
def open_text(source: FileSource, encoding: str | None = None) -> Iterator[IO[str]]:
    """Open a text, packed or not, whatever it is called.

    Without `encoding` it is UTF-8, or what its byte order mark says. The mark is skipped; line
    ends stay as they are. What the block raises because the file is cut short or written
    otherwise is told with its name and line.

    Raises:
        JobFailure: it is no text, cut short, or not in this encoding.
    """
    with source.open() as file, unpacked(file, source.name) as plain:
        codec = _codec(plain.peek(1 << 10)[: 1 << 10], source.name, encoding)
        text = io.TextIOWrapper(plain, encoding=codec, newline="")
        try:
            yield text
        except UnicodeDecodeError:
            raise JobFailure(_undecodable(source, codec)) from None
        except UnicodeError as error:  # UTF-16 or UTF-32 that was told, without its mark.
            raise JobFailure(f"{source.name}: is not {codec}: {error}") from None
        finally:
            text.detach()


def foreign_kind(start: bytes) -> str | None:
    """Return what a file or an answer is that begins so, if it is no text."""
    for magic, what in _FOREIGN:
        # A column may be called PAR1: binary data has control characters soon.
        if start.startswith(magic) and (not magic.isalnum() or _CONTROL.search(start)):
            return what
    return None


def _codec(start: bytes, name: str, encoding: str | None) -> str:
    if encoding is not None:
        return codec_of(encoding)
    what = foreign_kind(start)
    if what is not None:
        raise JobFailure(f"{name}: is {what}, and no text: unpack or convert it first")
    for mark, codec in _MARKS:
        if start.startswith(mark):
            return codec
    if b"\x00" in start:
        wide = len(start) > 3 and start.count(b"\x00") * 3 >= len(start)
        what = "not a text: it contains NUL bytes"
        if wide:
            order = "utf-16-be" if start[:1] == b"\x00" else "utf-16-le"
            what = f"UTF-16 without a byte order mark: set encoding: {order}"
        raise JobFailure(f"{name}:{start[: start.index(0)].count(10) + 1}: is {what}")
    return "utf-8-sig"


def _undecodable(source: FileSource, codec: str) -> str:
    """Return where a file stops being in its encoding; it is read once more, line by line."""
    line, told = 1, codec.removesuffix("-sig").upper()
    if codec.startswith(_WIDE):
        return _damaged(source, codec)
    with source.open() as file, unpacked(file, source.name) as plain:
        for raw in iter(lambda: plain.readline(_LONGEST_LINE_BYTES), b""):
            try:
                raw.decode(codec)
            except UnicodeDecodeError as error:
                good = raw[: error.start].decode(codec, "replace")
                return (
                    f"{source.name}:{line}: is not {told}: byte 0x{raw[error.start]:02x} at "
                    f"character {len(good) + 1} of the line; it looks like {_guess(raw)}: set "
                    f"encoding: {_guess(raw)}"
                )
            line += raw.endswith(b"\n")
    return f"{source.name}: is not {told}"


def _damaged(source: FileSource, codec: str) -> str:
    """Return where UTF-16 or UTF-32 is damaged: its bytes do not show where a line ends."""
    line, decoder = 1, codecs.getincrementaldecoder(codec)()
    with source.open() as file, unpacked(file, source.name) as plain:
        try:
            while block := plain.read(_BLOCK_BYTES):
                line += decoder.decode(block).count("\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].decode(error.encoding, "replace").count("\n")
            return (
                f"{source.name}:{line}: is not {codec.upper()}: {error.reason}: the file is damaged"
                " or cut short; write it again"
            )
    return f"{source.name}: is not {codec.upper()}"


def _guess(raw: bytes) -> str:
    """Return the usual encoding that a line is probably written in."""
    # 0x80 to 0x9f are letters and signs of Windows, and control characters of Latin-1.
    return "windows-1252" if any(0x80 <= byte <= 0x9F for byte in raw) else "latin1"
