"""What a measured value must be: `must_be_less_than: 5`, in Soda's words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from headrace.errors import InvalidPayload

Number = int | float | Decimal

WORDS = {
    "must_be": "must be {0}",
    "must_not_be": "must not be {0}",
    "must_be_greater_than": "must be greater than {0}",
    "must_be_greater_than_or_equal": "must be at least {0}",
    "must_be_less_than": "must be less than {0}",
    "must_be_less_than_or_equal": "must be at most {0}",
    "must_be_between": "must be between {0} and {1}",
    "must_be_not_between": "must not be between {0} and {1}",
}
"""Each word with its sentence. Both ends of `between` belong to it."""

_PAIRS = ("must_be_between", "must_be_not_between")
_PERCENT = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class Bound:
    """One or more of the words with their limits; all of them must hold."""

    limits: tuple[tuple[str, tuple[Decimal, ...]], ...]
    unit: str = ""

    def holds(self, value: Number | None) -> bool:
        """Return whether a value is as it must be; where there is none, it is not."""
        if value is None:
            return False
        exact = value if isinstance(value, Decimal) else Decimal(str(value))
        if exact.is_nan():
            return False
        return all(_holds(word, exact, limits) for word, limits in self.limits)

    def __str__(self) -> str:
        return " and ".join(
            WORDS[word].format(*(f"{shown(limit)}{self.unit}" for limit in limits))
            for word, limits in self.limits
        )


def bound_of(
    given: Mapping[str, Any], *, name: str, unit: str = "", default: Bound | None = None
) -> Bound:
    """Read the words among the keys of a check.

    Raises:
        InvalidPayload: there is none and no default, or a limit is no number.
    """
    found = tuple((word, _limits(word, given[word], name, unit)) for word in WORDS if word in given)
    if found:
        return Bound(found, unit)
    if default is None:
        raise InvalidPayload(f"{name} needs a bound, such as must_be_less_than: 24")
    return Bound(default.limits, unit)


def exactly(limit: int) -> Bound:
    """Return the bound of what must be this number."""
    return Bound((("must_be", (Decimal(limit),)),))


def more_than(limit: int) -> Bound:
    """Return the bound of what must be greater than this number."""
    return Bound((("must_be_greater_than", (Decimal(limit),)),))


def shown(value: Number | None) -> str:
    """Return a number as people write it: no exponent, no zeros at its end."""
    if value is None:
        return "no value"
    exact = value if isinstance(value, Decimal) else Decimal(str(value))
    text = f"{exact:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _holds(word: str, value: Decimal, limits: tuple[Decimal, ...]) -> bool:
    match word:
        case "must_be":
            return value == limits[0]
        case "must_not_be":
            return value != limits[0]
        case "must_be_greater_than":
            return value > limits[0]
        case "must_be_greater_than_or_equal":
            return value >= limits[0]
        case "must_be_less_than":
            return value < limits[0]
        case "must_be_less_than_or_equal":
            return value <= limits[0]
        case "must_be_between":
            return limits[0] <= value <= limits[1]
        case _:
            return not limits[0] <= value <= limits[1]


def _limits(word: str, given: Any, name: str, unit: str) -> tuple[Decimal, ...]:
    if word not in _PAIRS:
        return (_number(given, word, name, unit),)
    if not isinstance(given, list | tuple) or len(given) != 2:
        raise InvalidPayload(f"{name}: {word} takes two numbers, as in [10, 90]")
    low, high = (_number(one, word, name, unit) for one in given)
    if low > high:
        raise InvalidPayload(f"{name}: {word} has its greater number first: [{low}, {high}]")
    return low, high


def _number(given: Any, word: str, name: str, unit: str) -> Decimal:
    if isinstance(given, str) and unit == "%" and (match := _PERCENT.fullmatch(given)):
        return Decimal(match[1])
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
        percent = " or a share such as 30%" if unit == "%" else ""
        raise InvalidPayload(f"{name}: {word} takes a number{percent}, not {given!r}")
    return Decimal(str(given))
