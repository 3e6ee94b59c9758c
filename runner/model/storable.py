"""What a row's JSON cannot hold."""

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
        return None if _is_text(value) else "a text has a NUL or half a surrogate pair"
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


def _is_text(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        # Both halves of a pair are one character in JSON.
        text.isascii() or text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return False
    return True
