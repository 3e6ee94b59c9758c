"""Parses plain YAML scalars by the core schema of YAML 1.2.

Only `true` and `false` are booleans, so `no`, `on` and `yes` stay text; `010` is ten;
`12:30:45` and `2024-01-31` are text.
"""

import re
from collections.abc import Callable

Scalar = str | int | float | bool | None

CORE_TAG = "tag:yaml.org,2002:"

_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{word: float("inf") for word in (".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF")},
    **{word: float("-inf") for word in ("-.inf", "-.Inf", "-.INF")},
    **{word: float("nan") for word in (".nan", ".NaN", ".NAN")},
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMBER_STARTS = frozenset("+-.0123456789")


class SpeltInt(int):
    """A whole number that was written otherwise than it is shown: `0012`, `0x1F`."""

    spelt: str


class SpeltFloat(float):
    """A number that was written otherwise than it is shown: `1.10`, `1e5`."""

    spelt: str


def _number(value: int | float, text: str) -> Scalar:
    if str(value) == text:
        return value
    number = SpeltInt(value) if isinstance(value, int) else SpeltFloat(value)
    number.spelt = text
    return number


def resolve(text: str) -> Scalar:
    """Return what an unquoted scalar stands for.

    Raises:
        ValueError: a whole number with more digits than Python converts (4,300).
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _DECIMAL.fullmatch(text):
        return _number(int(text), text)
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return _number(int(text, 0), text)
    if _FLOAT.fullmatch(text):
        return _number(float(text), text)
    return text


def _typed(expected: type) -> Callable[[str], Scalar]:
    def convert(text: str) -> Scalar:
        value = resolve(text)
        if isinstance(value, SpeltInt | SpeltFloat):
            value = +value
        if expected is float and type(value) is int:
            return float(value)
        if type(value) is not expected:
            raise ValueError(f'"{text}" is not of this type')
        return value

    return convert


# Explicit tags, as in `!!str 5`. Every other tag is refused.
BY_TAG: dict[str, Callable[[str], Scalar]] = {
    "!": str,
    CORE_TAG + "str": str,
    CORE_TAG + "int": _typed(int),
    CORE_TAG + "float": _typed(float),
    CORE_TAG + "bool": _typed(bool),
    CORE_TAG + "null": _typed(type(None)),
}

# What a value with one of them has to be, where it may be anything but a number.
TAKES: dict[str | None, str] = {
    CORE_TAG + "int": "a whole number",
    CORE_TAG + "bool": "true or false",
    CORE_TAG + "null": "null",
}
