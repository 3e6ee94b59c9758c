"""A pipeline as plain data in the YAML's words: what can be stored, and compared."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any

from headrace.model.duration import format_duration, parse_duration_s
from headrace.model.notifications import Expectation
from headrace.model.pipeline import Calendar, Concurrency, Pipeline, Schedule, Step

# Where a pipeline stands and which bytes it is; not what it says.
_PLACES = frozenset({"name", "file", "folder", "version", "source"})
_SECONDS = re.compile(r"_s$")


def definition(pipeline: Pipeline) -> dict[str, Any]:
    """Return what a pipeline says, its defaults applied; keys without a value are left out.

    Steps, handlers and parameters are mappings by their id or name, in their order. Durations
    are written as in `5m`, so that the result is JSON.
    """
    said = {name: value for name, value in _said(pipeline).items() if name not in _PLACES}
    for name, key in (("steps", "id"), ("params", "name")):
        if name in said:
            said[name] = _by(key, said[name])
    if "handlers" in said:
        handlers = said.pop("handlers")
        kinds = dict.fromkeys(one["handler"] for one in handlers)
        said["handlers"] = {
            kind: _by("id", [one for one in handlers if one["handler"] == kind], "handler")
            for kind in kinds
        }
    if "schedules" in said:
        said["schedule"] = said.pop("schedules")
    if pipeline.concurrency is not None:
        said["concurrency"] = _concurrency(pipeline.concurrency)
    return said


def schedules_of(said: Mapping[str, Any]) -> tuple[Schedule, ...]:
    """Return the schedules of a definition that was stored."""
    return tuple(_schedule(one) for one in said.get("schedule", ()))


def _schedule(said: Mapping[str, Any]) -> Schedule:
    values: dict[str, Any] = {}
    for field in fields(Schedule):
        key = _SECONDS.sub("", field.name)
        if key not in said:
            continue
        value = said[key]
        if field.name.endswith("_s"):
            value = parse_duration_s(value)
        elif key in ("start", "end"):
            value = datetime.fromisoformat(value)
        elif key == "calendar":
            days = tuple(date.fromisoformat(day) for day in value.get("dates", ()))
            value = Calendar(**{**value, "dates": days})
        values[field.name] = value
    return Schedule(**values)


def _concurrency(given: Concurrency) -> dict[str, Any]:
    own = {"limit": given.limit, "on_conflict": given.on_conflict}
    # A group that nobody has named has a blank in its name.
    return own if " " in given.group else {**own, "group": given.group}


def _said(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields by the YAML's names. Defaults are included: they are active."""
    found: dict[str, Any] = {}
    for field in fields(value):
        own = getattr(value, field.name)
        if own is None or own in ("", (), {}):
            continue
        if isinstance(own, Expectation):
            found |= _expected(own)
        elif field.name == "job" and isinstance(value, Step) and value.pipeline is not None:
            found["pipeline"] = value.pipeline
        elif field.name.endswith("_s"):
            found[_SECONDS.sub("", field.name)] = _duration(own)
        else:
            found[field.name.rstrip("_")] = _plain(own)
    return found


def _expected(given: Expectation) -> dict[str, Any]:
    own = {"deadline": given.deadline_s, "expected_duration": given.duration_s}
    return {name: _duration(value) for name, value in own.items() if value is not None}


def _duration(value: Any) -> Any:
    if isinstance(value, tuple):
        return [format_duration(one) for one in value]
    return format_duration(value)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _said(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _by(key: str, listed: list[dict[str, Any]], *without: str) -> dict[str, Any]:
    return {
        one[key]: {name: value for name, value in one.items() if name not in (key, *without)}
        for one in listed
    }
