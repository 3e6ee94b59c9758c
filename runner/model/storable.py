"""What a row and its JSON can hold: PostgreSQL has no place for NUL or half a surrogate pair."""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any


def unstorable(value: Any) -> str | None:
    """Return what of a value PostgreSQL has no JSON for, None where it can be stored.

    Raises:
        RecursionError: It is nested too deeply, or holds itself.
    """
    if isinstance(value, str):
        return "a text has a NUL or half a surrogate pair" if joined(value) is None else None
    if isinstance(value, bytes):
        return _fault_of_bytes(value)
    if isinstance(value, float | Decimal):
        return None if is_finite(value) else f"{value} is no number in JSON"
    if isinstance(value, Mapping):
        return _first((*value.keys(), *value.values()))
    return _first(value) if isinstance(value, list | tuple | set | frozenset) else None


def is_finite(value: float | Decimal) -> bool:
    """Return whether a number is in the range of a float."""
    if isinstance(value, Decimal) and not value.is_finite():
        return False  # A signaling NaN is no float's.
    return math.isfinite(value)


def _first(values: Iterable[Any]) -> str | None:
    return next((told for told in map(unstorable, values) if told), None)


def _fault_of_bytes(value: bytes) -> str | None:
    """Return why bytes cannot be stored as the text that they are in UTF-8."""
    try:
        return unstorable(value.decode())
    except UnicodeDecodeError:
        return "bytes are not text in UTF-8"


def joined(text: str) -> str | None:
    """Return a text with each surrogate pair as its character; None where it cannot be stored."""
    if "\0" in text:
        return None
    try:
        return text if text.isascii() else _decoded(text, "strict")
    except UnicodeDecodeError:
        return None


def fitted(text: str) -> str:
    """Return a text as it can be stored, with U+FFFD for what cannot be."""
    if text.isascii() and "\0" not in text:
        return text
    return _decoded(text.replace("\0", "\ufffd"), "replace")


def _decoded(text: str, errors: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", errors)
