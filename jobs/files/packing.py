"""Unpacks and packs files: gzip, zstd, bzip2, xz, zip. Their content tells how they are packed."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, Literal, cast

from headrace.errors import JobFailure
from headrace.errors.numbers import listed
from headrace.jobs.files.optional_library import library

Packing = Literal["none", "gz", "zst", "bz2", "xz", "zip"]

_BLOCK_BYTES = 1 << 20
_MAGIC: tuple[tuple[bytes, Packing], ...] = (
    (b"\x1f\x8b", "gz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
_NAMES: dict[Packing, str] = {"gz": "gzip", "zst": "zstd", "bz2": "bzip2", "xz": "xz", "zip": "zip"}
SUFFIXES: dict[str, Packing] = {
    ".gz": "gz",
    ".tgz": "gz",
    ".zst": "zst",
    ".zstd": "zst",
    ".bz2": "bz2",
    ".xz": "xz",
    ".zip": "zip",
}
_DAMAGED = (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
# How bzip2 says that what follows is not its own: its class of error is everybody's.
_BZIP2_WORDS = ("Invalid data stream",)


def packing_by_content(start: bytes) -> Packing:
    """Return how a file is packed that begins so."""
    for magic, packing in _MAGIC:
        if start.startswith(magic) and (packing != "bz2" or start[3:4] in b"123456789"):
            return packing
    return "none"


def packing_by_name(name: str) -> Packing:
    """Return how a file of this name is to be packed."""
    return SUFFIXES.get("." + name.rpartition(".")[2].lower(), "none")


def name_inside(name: str) -> str:
    """Return a file's name without what tells its packing."""
    stem, dot, _ = name.rpartition(".")
    return stem if dot and packing_by_name(name) != "none" else name


@contextmanager
def unpacked(file: BinaryIO, name: str) -> Iterator[io.BufferedReader]:
    """Give what an open file holds, unpacked; `name` is what errors call it.

    Raises:
        JobFailure: it ends early or is damaged, also where this shows within the block.
    """
    start = file.read(8)
    file.seek(0)
    packing = packing_by_content(start)
    try:
        with _opened(packing, file, name) as plain:
            yield plain
    except EOFError:
        raise JobFailure(
            f"{name}: is truncated: its {_NAMES.get(packing, 'data')} stream ends before its end "
            "mark"
        ) from None
    except _DAMAGED as error:
        raise JobFailure(f"{name}: its {_NAMES.get(packing)} stream is damaged: {error}") from None
    except OSError as error:
        if packing != "bz2" or str(error) not in _BZIP2_WORDS:
            raise
        raise JobFailure(f"{name}: its bzip2 stream is damaged: {error}") from None


@contextmanager
def _opened(packing: Packing, file: BinaryIO, name: str) -> Iterator[io.BufferedReader]:
    if packing == "none":
        yield io.BufferedReader(cast("io.RawIOBase", file), _BLOCK_BYTES)
    elif packing == "gz":
        with gzip.GzipFile(fileobj=file, mode="rb") as packed:
            yield io.BufferedReader(packed, _BLOCK_BYTES)
    elif packing == "bz2":
        with bz2.BZ2File(file) as bzip2:
            yield io.BufferedReader(bzip2, _BLOCK_BYTES)
    elif packing == "xz":
        with lzma.LZMAFile(file) as xz:
            yield io.BufferedReader(xz, _BLOCK_BYTES)
    elif packing == "zst":
        yield io.BufferedReader(_Zstd(file, name), _BLOCK_BYTES)
    else:
        with zipfile.ZipFile(file) as archive, archive.open(_only_member(archive, name)) as member:
            yield io.BufferedReader(cast("io.RawIOBase", member), _BLOCK_BYTES)


def _only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if not one.is_dir()]
    members = [one for one in members if not one.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        what = listed([one.filename for one in members]) or "nothing"
        raise JobFailure(
            f"{name}: the zip archive holds {len(members)} files ({what}), and one is expected: "
            "pack each file alone"
        )
    if members[0].flag_bits & 1:
        raise JobFailure(f"{name}: {members[0].filename} in the zip archive is encrypted")
    return members[0]


class _Zstd(io.RawIOBase):
    """Reads zstd, of one frame or several, and says if the last one is cut.

    The library's own reader takes the end of the file for the end of the data.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._zstd = library("zstandard", f"{name}: unpacking zstd")
        self._frame: Any = None
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left:
            packed = self._file.read(_BLOCK_BYTES >> 2)
            if not packed:
                if self._frame is not None:
                    raise EOFError
                return 0
            self._left = self._unpacked(packed)
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def _unpacked(self, packed: bytes) -> bytes:
        found = []
        while packed:
            if self._frame is None:
                self._frame = self._zstd.ZstdDecompressor().decompressobj()
            try:
                found.append(self._frame.decompress(packed))
            except self._zstd.ZstdError as error:
                raise zlib.error(str(error)) from None
            packed = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = None
        return b"".join(found)


@contextmanager
def packed(file: IO[bytes], packing: Packing, inside: str) -> Iterator[IO[bytes]]:
    """Pack what is written; the same content makes the same file. `inside` names it in a zip."""
    if packing == "none":
        yield file
    elif packing == "gz":
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0, compresslevel=6) as gz:
            yield cast("IO[bytes]", gz)
    elif packing == "bz2":
        with bz2.BZ2File(file, "wb") as bzip2:
            yield bzip2
    elif packing == "xz":
        with lzma.LZMAFile(file, "wb") as xz:
            yield xz
    elif packing == "zst":
        zstd = library("zstandard", "packing with zstd")
        with zstd.ZstdCompressor(level=3).stream_writer(file, closefd=False) as writer:
            yield writer
    else:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            member = zipfile.ZipInfo(inside)  # With the earliest date that there is.
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as part:
                yield part
