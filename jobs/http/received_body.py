"""The body of an answer, as it comes: unpacked, and refused unless all of it has come."""

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobapi.outbound.failures import reason_of
from headrace.jobs.http.decompression import unpacked, unpackers

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

# The statuses of answers that have no body.
EMPTY = (204, 205)
_PIECE_BYTES = 1 << 16


def unpacked_body(
    answer: "BaseHTTPResponse", place: str, sent: list[bytes] | None = None
) -> Iterator[bytes]:
    """Yield an answer's body unpacked, and what came of it into `sent`; demand all of it."""
    pieces = _pieces(answer, place)
    first = next(pieces, None)
    if first is None:
        if answer.status not in EMPTY and not tells_its_end(answer):
            raise JobFailure(
                f"{place}: the connection was closed before any of the answer came, and nothing"
                " shows that it is empty (no Content-Length)"
            )
        return
    layers = unpackers(answer.headers.get("content-encoding", ""), place)
    whole = chain([first], pieces)
    yield from unpacked(whole if sent is None else _noted(whole, sent), layers)


def _noted(pieces: Iterator[bytes], sent: list[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        sent.append(piece)
        yield piece


def tells_its_end(answer: "BaseHTTPResponse") -> bool:
    """Return whether the answer says where it ends, other than by a closed connection."""
    headers = answer.headers
    return "content-length" in headers or "transfer-encoding" in headers


def _pieces(answer: "BaseHTTPResponse", place: str) -> Iterator[bytes]:
    """Yield what came, as it came; that it has its length, or its last chunk, is looked at."""
    from urllib3.exceptions import HTTPError

    length = answer.headers.get("content-length", "0")
    if any(not part.strip().isdecimal() for part in length.split(",")):
        raise JobFailure(f"{place}: the answer's Content-Length is not a number: {length!r}")
    packed = answer.headers.get("transfer-encoding", "chunked").strip().lower()
    if packed not in ("chunked", "identity"):
        raise JobFailure(f"{place}: the answer's Transfer-Encoding {packed!r} was not asked for")
    try:
        for piece in answer.stream(_PIECE_BYTES, decode_content=False):
            if piece:
                yield piece
    except (HTTPError, OSError) as error:
        raise JobFailure(f"{place}: the answer broke off: {reason_of(error)}") from None
