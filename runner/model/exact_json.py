"""JSON in which every digit of a number survives.

A number that a float holds exactly as it is written is a float, any other one is a Decimal, so
that `1234567890123.4567` is not `1234567890123.4568` in the next step.
"""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import simplejson


def loads(text: str | bytes) -> Any:
    """Return what a JSON text holds; see `number` for its decimals.

    Raises:
        ValueError: it is no JSON.
    """
    return _DECODER.decode(text if isinstance(text, str) else text.decode())


def dumps(
    value: Any,
    *,
    default: Callable[[Any], Any] | None = None,
    compact: bool = False,
    **options: Any,
) -> str:
    """Return a value as JSON, Decimals as numbers with all their digits.

    `default` gives what stands for a value that JSON does not know; `compact` leaves out blanks.

    Raises:
        TypeError, ValueError: JSON has no form for it.
    """
    return _encoder(default, compact, **options).encode(value)


@lru_cache(maxsize=32)
def _encoder(
    default: Callable[[Any], Any] | None, compact: bool, **options: Any
) -> simplejson.JSONEncoder:
    # Kept: to make one takes longer than to write a short text.
    return simplejson.JSONEncoder(
        default=default,
        use_decimal=True,
        # Only mappings and lists are containers: a named tuple is the list that it was before.
        namedtuple_as_object=False,
        separators=(",", ":") if compact else None,
        **options,
    )


# Python refuses to read or write an int of more digits unless told otherwise.
_INT_DIGITS = 4300


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _INT_DIGITS else Decimal(text)


def number(text: str) -> float | Decimal:
    """Return a decimal number: a float where that loses no digit.

    Raises:
        ValueError: Its power of ten has more digits than a Decimal's may have.
    """
    try:
        decimal = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the number {text:.40} is out of any range") from None
    nearest = float(decimal)
    return nearest if Decimal(repr(nearest)) == decimal else decimal


_DECODER = simplejson.JSONDecoder(parse_float=number, parse_int=_integer)
