"""What a key of a check takes: told at the key, before anything is measured."""

from collections.abc import Callable, Mapping
from typing import Any

from headrace.errors import InvalidPayload

_Takes = tuple[str, Callable[[Any], bool]]


def _is_text(given: Any) -> bool:
    return isinstance(given, str)


def _is_one(given: Any) -> bool:
    return given is not None and not isinstance(given, list | tuple | Mapping)


def _is_length(given: Any) -> bool:
    # A template that divides makes 3.0 of 6 / 2.
    return str(given).removesuffix(".0").isdecimal()


def _is_list(given: Any) -> bool:
    return isinstance(given, list | tuple)


_TEXT: _Takes = "a text", _is_text
_VALUE: _Takes = "one value", _is_one
_LENGTH: _Takes = "a whole number, 0 or more", _is_length
_SWITCH: _Takes = "true or false", lambda given: isinstance(given, bool)

_KEYS: Mapping[str, _Takes] = {
    "column": _TEXT,
    "unit": _TEXT,
    "function": _TEXT,
    "expression": _TEXT,
    "query": _TEXT,
    "metric": _TEXT,
    "valid_regex": _TEXT,
    "valid_min": _VALUE,
    "valid_max": _VALUE,
    "valid_min_length": _LENGTH,
    "valid_max_length": _LENGTH,
    "missing_values": ("a list of values", _is_list),
    "allow_extra_columns": _SWITCH,
    "allow_other_column_order": _SWITCH,
    "connection": ("a text, or null", lambda given: given is None or _is_text(given)),
}
"""What each key takes, in words; the others are the affair of their kinds."""


def refuse_values(name: str, given: Mapping[str, Any]) -> None:
    """Refuse a value that its key does not take.

    Raises:
        InvalidPayload: naming the key.
    """
    for key, value in given.items():
        if key in _KEYS:
            words, takes = _KEYS[key]
            if not takes(value):
                raise InvalidPayload(f"{name}: {key} is {words}, not {value!r}")
