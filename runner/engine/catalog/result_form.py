"""Writes what was read from a pipeline file as JSON, and reads it with every type as it was.

A value of a type that is not known here is refused: nothing comes back otherwise than it was.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime, timezone
from functools import cache
from typing import Any

from headrace.declarations import trigger_links
from headrace.declarations.across_files import Argument, Reference
from headrace.declarations.source import Position, resolve
from headrace.declarations.trigger_links import Links, UpstreamParam
from headrace.errors import Problem
from headrace.model.notifications import Expectation, Notify
from headrace.model.pipeline import (
    Calendar,
    Concurrency,
    Foreach,
    Param,
    Pipeline,
    PipelineTrigger,
    Schedule,
    Step,
)
from headrace.model.retry import RetryPolicy

_PLAIN = (str, int, float, bool, type(None))
_DATACLASSES: Mapping[str, type] = {
    cls.__name__: cls
    for cls in (
        *(Argument, Calendar, Concurrency, Expectation, Foreach, Links, Notify, Param, Pipeline),
        *(PipelineTrigger, Problem, Reference, RetryPolicy, Schedule, Step),
    )
}
_TUPLES: Mapping[str, Callable[..., Any]] = {
    "tuple": lambda *items: items,
    "Position": Position,
    "TriggerReference": trigger_links.Reference,
    "UpstreamParam": UpstreamParam,
}
_TUPLE_NAMES = {
    tuple: "tuple",
    Position: "Position",
    trigger_links.Reference: "TriggerReference",
    UpstreamParam: "UpstreamParam",
}
# The key that says what a mapping stands for; a mapping that has it itself is written as items.
_KIND = ""


class NoForm(Exception):
    """A value has a type that cannot be kept."""


def as_text(value: Any) -> str:
    """Return a value as JSON.

    Raises:
        NoForm: It, or something in it, cannot be kept.
    """
    try:
        return json.dumps(_plain(value), separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise NoForm(str(error)) from None


def from_text(text: str) -> Any:
    """Return the value that `as_text` has written.

    Raises:
        ValueError: The text is another one.
    """
    try:
        return _made(json.loads(text))
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [_plain(one) for one in value]
    if kind is dict:
        return _plain_mapping(value)
    if kind in _TUPLE_NAMES:
        return {_KIND: _TUPLE_NAMES[kind], "of": [_plain(one) for one in value]}
    if _DATACLASSES.get(kind.__name__) is kind:
        said = {
            name: _plain(one)
            for name, default in _fields(kind.__name__)
            if not _is(one := getattr(value, name), default)
        }
        return {_KIND: kind.__name__, **said}
    if kind is date or (kind is datetime and type(value.tzinfo) in (timezone, type(None))):
        return {_KIND: kind.__name__, "of": value.isoformat()}
    if hasattr(value, "spelt"):
        return {_KIND: "number", "of": value.spelt}
    if kind is bytes:
        return {_KIND: "bytes", "of": value.decode("latin-1")}
    raise NoForm(f"{kind.__module__}.{kind.__qualname__}")


def _plain_mapping(value: dict[Any, Any]) -> dict[str, Any]:
    if _KIND not in value and all(type(key) is str for key in value):
        return {key: _plain(one) for key, one in value.items()}
    return {_KIND: "items", "of": [[_plain(key), _plain(one)] for key, one in value.items()]}


@cache
def _fields(name: str) -> tuple[tuple[str, Any], ...]:
    return tuple((one.name, one.default) for one in fields(_DATACLASSES[name]))


def _is(value: Any, default: Any) -> bool:
    """Return whether a value is its field's default, and may be left out."""
    return default is not MISSING and type(value) is type(default) and value == default


def _made(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return [_made(one) for one in value]
    if kind is not dict:
        return value
    if _KIND not in value:
        return {key: _made(one) for key, one in value.items()}
    name = value[_KIND]
    if name in _TUPLES:
        return _TUPLES[name](*[_made(one) for one in value["of"]])
    if name in _READERS:
        return _READERS[name](value["of"])
    return _DATACLASSES[name](**{key: _made(one) for key, one in value.items() if key != _KIND})


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "items": lambda items: {_made(key): _made(one) for key, one in items},
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "number": resolve,
    "bytes": lambda text: text.encode("latin-1"),
}
