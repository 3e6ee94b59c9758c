"""Checks whether a value has the type of a parameter."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from headrace.model.paramtypes import read

_WANTED = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date such as 2024-01-31",
    "datetime": "a date and time such as 2024-01-31T06:00:00+00:00",
    "list": "a list",
}


def _is_text_of(kind: str, value: Any) -> bool:
    """Return whether a text is read as this type: the same texts as where a run starts."""
    try:
        read(kind, value)
    except ValueError:
        return False
    return isinstance(value, str)


_FITS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    # In quotes where it has more digits than YAML keeps.
    "number": lambda value: (
        (isinstance(value, int | float) and not isinstance(value, bool))
        or _is_text_of("number", value)
    ),
    "boolean": lambda value: isinstance(value, bool),
    "date": partial(_is_text_of, "date"),
    "datetime": partial(_is_text_of, "datetime"),
    "list": lambda value: isinstance(value, list),
}


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return json.dumps(value, ensure_ascii=False)


def param_fault(kind: str, value: Any) -> str | None:
    """Return what the value is instead of a parameter type's, or None where it fits.

    A type that does not exist fits everything: the schema has reported it.
    """
    fits = _FITS.get(kind)
    if fits is None or fits(value):
        return None
    shown = _shown(value)
    return f"{shown}, not {_WANTED[kind]}"
