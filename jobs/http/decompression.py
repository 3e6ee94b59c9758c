"""Unpacks what an answer is packed with, and says whether all of it has come."""

import zlib
from collections.abc import Iterator

from headrace.errors import JobFailure

_PIECE_BYTES = 1 << 16
_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_ZLIB_METHOD = 8  # The lower half of the first byte of a zlib stream.


class Unpacker:
    """One packing of a stream: gzip of one or several members, deflate with zlib's frame or not.

    A piece is unpacked within a bound, however small it came. Zeros behind the end are padding, as
    gzip has it; whatever else stands there is an error, since it may be a member that was cut.
    """

    def __init__(self, kind: str, place: str) -> None:
        self._kind, self._place = kind, place
        self._stream: zlib._Decompress | None = None
        self._ended = False

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        """Yield what a piece holds.

        Raises:
            JobFailure: it is damaged.
        """
        while piece:
            if self._stream is None:
                piece = self._begun(piece)
                if self._stream is None:
                    return
            try:
                plain = self._stream.decompress(piece, _PIECE_BYTES)
            except zlib.error as error:
                raise JobFailure(self._damaged(str(error))) from None
            piece = self._stream.unconsumed_tail
            if plain:
                yield plain
            if self._stream.eof:
                piece = self._stream.unused_data
                self._stream, self._ended = None, True
            elif not piece and len(plain) == _PIECE_BYTES:
                yield from self._rest()

    def flush(self) -> None:
        """Demand that the stream has reached its end.

        Raises:
            JobFailure: it was cut.
        """
        if self._stream is not None or not self._ended:
            raise JobFailure(
                f"{self._place}: the answer is truncated: its {self._kind} stream ends before its"
                " end mark"
            )

    def _rest(self) -> Iterator[bytes]:
        """Yield what the stream still holds though all of its input was taken."""
        assert self._stream is not None
        while not self._stream.eof:
            plain = self._stream.decompress(b"", _PIECE_BYTES)
            if not plain:
                return
            yield plain
        self._stream, self._ended = None, True

    def _begun(self, piece: bytes) -> bytes:
        """Begin a stream with a piece that holds its first byte, and return what to read of it."""
        if self._ended:
            piece = piece.lstrip(b"\0")
            if not piece:
                return piece
            if self._kind != "gzip" or piece[:1] != b"\x1f":
                raise JobFailure(self._damaged("there are other bytes after its end"))
        window = _GZIP_WINDOW
        if self._kind == "deflate":
            # The name means zlib's frame, and some servers leave it out.
            framed = piece[0] & 0x0F == _ZLIB_METHOD and piece[0] >> 4 <= 7
            window = zlib.MAX_WBITS if framed else -zlib.MAX_WBITS
        self._stream = zlib.decompressobj(window)
        return piece

    def _damaged(self, why: str) -> str:
        return f"{self._place}: the answer's {self._kind} stream is damaged: {why}"


def unpackers(content_encoding: str, place: str) -> list[Unpacker]:
    """Return what unpacks an answer, the outermost first.

    Raises:
        JobFailure: it is packed with what nobody asked for.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    found = []
    for name in reversed([name for name in names if name not in ("", "identity")]):
        if name not in _NAMES:
            raise JobFailure(
                f"{place}: the answer is packed with {name!r}, though only gzip and deflate were"
                " asked for (Accept-Encoding)"
            )
        found.append(Unpacker(_NAMES[name], place))
    return found


def unpacked(pieces: Iterator[bytes], layers: list[Unpacker]) -> Iterator[bytes]:
    """Yield what pieces hold when all layers are off, and demand that each has ended.

    Raises:
        JobFailure: one of them is damaged or cut.
    """
    for layer in layers:
        pieces = _through(layer, pieces)
    yield from pieces


def _through(layer: Unpacker, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from layer.unpack(piece)
    layer.flush()
