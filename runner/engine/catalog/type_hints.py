"""Says what a type hint takes, in the user's words."""

import types
import typing
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

_WORDS: dict[Any, str] = {
    Any: "anything",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
    list: "a list",
    dict: "a mapping",
    Decimal: "a number",
    date: "a date as in 2025-01-31",
    datetime: "a time as in 2025-01-31T06:00:00+01:00",
    timedelta: "a duration as in 5m",
    Path: "text",
    UUID: "a UUID",
}

_FROM_TEXT = (Decimal, date, datetime, timedelta, UUID)


def accepts_text_and_numbers(hint: Any) -> bool:
    """Return whether a hint takes, at one place, a text as well as a number."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    union = origin in (typing.Union, types.UnionType)
    if union and str in arguments and {int, float} & set(arguments):
        return True
    return any(accepts_text_and_numbers(argument) for argument in arguments)


def accepts_decimals(hint: Any) -> bool:
    """Return whether a hint takes a Decimal, which has the digits that were written."""
    return hint is Decimal or any(map(accepts_decimals, typing.get_args(hint)))


def judges_value(hint: Any, sample: Any) -> bool:
    """Return whether a hint takes some values of a sample's type and refuses others.

    As a date does of texts, and a pair of lists.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(sample, list) and origin is tuple:
        return ... not in arguments
    if isinstance(sample, str):
        of_enum = isinstance(hint, type) and issubclass(hint, Enum)
        if hint in _FROM_TEXT or of_enum or origin is typing.Literal:
            return True
    return any(judges_value(argument, sample) for argument in arguments)


def describe(hint: Any) -> str:
    """Return a type hint in the user's words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return describe(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_alternatives(hint))
    if origin is typing.Literal:
        return "one of " + ", ".join(str(argument) for argument in arguments)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(str(one.value) for one in hint)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if len(arguments) < 2:
            return "a mapping"
        return f"a mapping to {' or to '.join(_alternatives(arguments[1]))}"
    if isinstance(origin, type) and issubclass(origin, Sequence | Set):
        return f"a list of {' or of '.join(_alternatives(arguments[0]))}" if arguments else "a list"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _alternatives(hint: Any) -> list[str]:
    """Return each type of a union once, in the user's words, but for None."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if union else (hint,)
    return list(dict.fromkeys(describe(kind) for kind in kinds if kind is not type(None)))
