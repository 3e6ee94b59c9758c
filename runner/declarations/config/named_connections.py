"""The entries of `connections`: what is wrong with them, and what they say."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from headrace.declarations.source import KeyPath
from headrace.errors.suggestions import did_you_mean
from headrace.model.connection import (
    PRODUCTS,
    NamedConnection,
    database_beside,
    kind_of,
    located,
)
from headrace.model.duration import parse_duration_s

_NAME_BESIDE = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OF_POSTGRESQL = ("role", "search_path", "timezone")

Fault = tuple[KeyPath, str, str, str]
"""Where it is, its code, the message and a hint."""


def faults_of_connections(given: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what the schema cannot tell of the entries of `connections`."""
    for name, entry in given.items():
        said = _as_mapping(entry)
        place: KeyPath = ("connections", name)
        yield from _of_url(said["url"], (*place, "url"))
        kind = kind_of(said["url"])
        for key in _OF_POSTGRESQL:
            if key in said and kind != "postgresql":
                message = f"{key} is for PostgreSQL; the connection is {PRODUCTS[kind]}"
                yield (*place, key), "bad-key", message, "remove it"
        for key in ("lock_timeout", "statement_timeout"):
            try:
                parse_duration_s(said.get(key, "0s"))
            except ValueError as error:
                yield (*place, key), "bad-duration", str(error), "use a shorter one"
        zone = said.get("timezone", "UTC")
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            hint = did_you_mean(zone, available_timezones()) or "write it as in Europe/Berlin"
            message = f'there is no time zone "{zone}"'
            yield (*place, "timezone"), "bad-timezone", message, hint


def _of_url(url: str, place: KeyPath) -> Iterator[Fault]:
    name = database_beside(url)
    if url.startswith("control:") and not (name and _NAME_BESIDE.fullmatch(name)):
        message = "a database beside the control database is written control:///NAME"
        yield place, "bad-url", message, "NAME is made of small letters, digits and _"


def named_connections(given: Mapping[str, Any], project: Path) -> dict[str, NamedConnection]:
    """Return the connections of entries without faults; files are relative to `project`."""
    found = {}
    for name, entry in given.items():
        said = _as_mapping(entry)
        schemas = said.get("search_path")
        found[name] = NamedConnection(
            located(said["url"], project),
            _seconds(said.get("lock_timeout")),
            said.get("timezone"),
            _seconds(said.get("statement_timeout")),
            said.get("role"),
            None if schemas is None else tuple(schemas),
        )
    return found


def _as_mapping(entry: Any) -> dict[str, Any]:
    return entry if isinstance(entry, dict) else {"url": entry}


def _seconds(duration: str | None) -> float | None:
    return None if duration is None else parse_duration_s(duration)
