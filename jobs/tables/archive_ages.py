"""Reads the ages and durations of an archive's step."""

import re
from datetime import UTC, datetime

from headrace.errors import InvalidPayload
from headrace.template.dates import days, hours, minutes, seconds, weeks
from headrace.template.spans import Span, add

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": seconds, "m": minutes, "h": hours, "d": days, "w": weeks}


def age_of(name: str, text: str) -> Span:
    """Return an age such as 90d.

    Raises:
        InvalidPayload: it is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidPayload(f"{name} {text!r} is not an age: write one such as 12h or 90d")
    return _UNITS[match[2]](int(match[1]))


def seconds_of(name: str, text: str | None) -> float | None:
    """Return a duration such as 2s in seconds.

    Raises:
        InvalidPayload: it is none.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([smhd])", text)
    if match is None:
        raise InvalidPayload(f"{name} {text!r} is not a duration: write one such as 2s or 5m")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def cutoff_of(age: Span | None, before: str | None, logical_date: datetime | None) -> str:
    """Return the time, ISO 8601, before which rows are old: `before`, or an age ago."""
    if age is None:
        return str(before)
    return str(add(logical_date or datetime.now(UTC), -age).isoformat())
