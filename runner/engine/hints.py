"""Holding JSON values against type hints, for arguments that come from YAML and HTTP."""

import types
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from runner.template.syntax import has_template

_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
    list: "a list",
    dict: "a mapping",
}


templated = has_template


def takes_text_and_numbers(hint: Any) -> bool:
    """Tell whether a hint takes, at one place, a text as well as a number."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    union = origin in (typing.Union, types.UnionType)
    if union and str in arguments and {int, float} & set(arguments):
        return True
    return any(takes_text_and_numbers(argument) for argument in arguments)


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a JSON value fits a type hint; where there is no hint, all fits."""
    if hint is None or hint is Any or templated(value):
        return True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if isinstance(origin, type):
        return _fits_container(value, origin, arguments)
    return _fits_plain(value, hint)


def _fits_container(value: Any, origin: type, arguments: tuple[Any, ...]) -> bool:
    if issubclass(origin, Mapping):
        inner = arguments[1] if len(arguments) > 1 else None
        return isinstance(value, Mapping) and all(fits(item, inner) for item in value.values())
    if issubclass(origin, Sequence):
        inner = arguments[0] if arguments else None
        return isinstance(value, list | tuple) and all(fits(item, inner) for item in value)
    return True


def _fits_plain(value: Any, hint: Any) -> bool:
    if hint is type(None):
        return value is None
    if hint in (int, float):
        # JSON's true is no number, Python's is. More digits than a float keeps are a Decimal.
        numbers = (int, float, Decimal) if hint is float else int
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


def describe(hint: Any) -> str:
    """Return a type hint in the user's words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        named = [describe(argument) for argument in arguments if argument is not type(None)]
        return " or ".join(dict.fromkeys(named))
    if origin is typing.Literal:
        return "one of " + ", ".join(str(argument) for argument in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping to {describe(arguments[1])}" if len(arguments) > 1 else "a mapping"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list of {describe(arguments[0])}" if arguments else "a list"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))
