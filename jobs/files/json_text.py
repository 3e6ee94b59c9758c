"""Reads JSON without losing a digit, and writes its values as PostgreSQL reads them.

A number stays the text that it is in the file, and so does what goes into json, jsonb or a text
column whole. Lists and objects become arrays, rows and hstore where the column is one.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from headrace.jobs.files.column_shapes import SCALAR, Shape

# What the standard library's own decoder reads a string with: the text, and where it ends.
scanstring: Callable[[str, int], tuple[str, int]] = json.decoder.scanstring  # type: ignore[attr-defined]

_BLANKS = re.compile(r"[ \t\n\r]*")
_WORD = re.compile(r"[^\s,\]}]+")
_PLAIN_ITEM = re.compile(r"[^\s\"\\{}(),;]+")


class Number(str):
    """A number (or NaN, Infinity) as it is written."""

    __slots__ = ()


class Repeated(dict[str, Any]):
    """An object in which a key stands twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated(found)


_DECODER = json.JSONDecoder(
    parse_float=Number, parse_int=Number, parse_constant=Number, object_pairs_hook=_object
)
decode: Callable[[str], Any] = _DECODER.decode


def raw_decode(text: str) -> int:
    """Return where the value ends that a text begins with.

    Raises:
        JSONDecodeError, RecursionError: it begins with none, or with a part of one.
    """
    return _DECODER.raw_decode(text)[1]


def whole(text: str) -> str:
    """Return a document without blanks around it.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeplyly.
    """
    decode(text)
    return text.strip(" \t\n\r")


def values_of(text: str) -> dict[str, str]:
    """Return the text of each value of an object, which `decode` has taken."""
    return dict(_members(text, _after(text, 0)))


def items_of(text: str) -> list[str]:
    """Return the text of each item of a list, which `decode` has taken."""
    return _items(text, _after(text, 0))


def as_text(raw: str, shape: Shape) -> str | None:
    """Return a JSON value as PostgreSQL reads a value of this type; None is NULL.

    Raises:
        ValueError: it cannot be one, saying why.
    """
    if raw == "null":
        return None
    if shape.kind == "json":
        return raw
    if raw[0] == '"':
        return scanstring(raw, 1)[0]
    if shape.kind in ("array", "vector") and raw[0] == "[":
        return _array(raw, shape)
    if shape.kind == "composite" and raw[0] == "{":
        return _row(raw, shape)
    if shape.kind == "hstore" and raw[0] == "{":
        return ", ".join(
            f"{_quoted(key)}=>{'NULL' if value is None else _quoted(value)}"
            for key, one in _members(raw, 0)
            for value in (as_text(one, SCALAR),)
        )
    return raw


def _array(raw: str, shape: Shape) -> str:
    items = _items(raw, 0)
    element = shape.element or SCALAR
    if shape.kind == "vector":
        # PostgreSQL gives object numbers as texts.
        return " ".join(as_text(item, SCALAR) or "" for item in items)
    nested = element.kind != "json" and bool(items) and all(item[0] == "[" for item in items)
    if nested and element.kind != "array":
        return "{" + shape.delimiter.join(_array(item, shape) for item in items) + "}"
    return "{" + shape.delimiter.join(_item(as_text(item, element)) for item in items) + "}"


def _item(value: str | None) -> str:
    if value is None:
        return "NULL"
    if value.upper() == "NULL" or not _PLAIN_ITEM.fullmatch(value):
        return _quoted(value)
    return value


def _row(raw: str, shape: Shape) -> str:
    given = dict(_members(raw, 0))
    unknown = [key for key in given if key not in dict(shape.fields)]
    if unknown:
        known = ", ".join(name for name, _ in shape.fields)
        raise ValueError(f"the row has no field {unknown[0]!r}; it has: {known}")
    values = (as_text(given.get(name, "null"), part) for name, part in shape.fields)
    return "(" + ",".join("" if value is None else _quoted(value) for value in values) + ")"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _members(text: str, start: int) -> Sequence[tuple[str, str]]:
    """Return the members of the object that begins at `start`, each value as it is written."""
    found, at = [], _after(text, start + 1)
    while text[at] != "}":
        key, at = scanstring(text, at + 1)
        at = _after(text, _after(text, at) + 1)
        end = _end_of(text, at)
        found.append((key, text[at:end]))
        at = _after(text, end)
        if text[at] == ",":
            at = _after(text, at + 1)
    return found


def _items(text: str, start: int) -> list[str]:
    found, at = [], _after(text, start + 1)
    while text[at] != "]":
        end = _end_of(text, at)
        found.append(text[at:end])
        at = _after(text, end)
        if text[at] == ",":
            at = _after(text, at + 1)
    return found


def _end_of(text: str, at: int) -> int:
    """Return where the value ends that begins at `at`."""
    if text[at] == '"':
        return scanstring(text, at + 1)[1]
    if text[at] in "[{":
        return _DECODER.raw_decode(text, at)[1]
    word = _WORD.match(text, at)
    assert word is not None, "the text was decoded before"
    return word.end()


def _after(text: str, at: int) -> int:
    """Return the first place from `at` on that is no blank."""
    blanks = _BLANKS.match(text, at)
    assert blanks is not None, "no blank is a match, too"
    return blanks.end()
