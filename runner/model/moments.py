"""Instants as a person writes them, and the clock that they are on.

One rule for files, options and requests: a time without an offset is on the clock of the
pipeline's schedule (of its first one, or UTC where it has none).
"""

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from headrace.errors import InvalidParams

if TYPE_CHECKING:
    from headrace.model.pipeline import Pipeline


def clock_of(pipeline: "Pipeline") -> str:
    """Return the zone of the clock that a pipeline's times are on."""
    return pipeline.schedules[0].timezone if pipeline.schedules else "UTC"


def on_clock(written: datetime, zone: str | tzinfo) -> datetime:
    """Return a time with its zone: its own offset, or the clock of `zone`."""
    if written.tzinfo is not None:
        return written
    return written.replace(tzinfo=ZoneInfo(zone) if isinstance(zone, str) else zone)


def instant_of(name: str, text: str, zone: str) -> datetime:
    """Return the instant that a person gave as `name`; see `moment`.

    Raises:
        InvalidParams: The text is no date or time.
    """
    try:
        return moment(text, zone)
    except ValueError:
        raise InvalidParams(
            f'{name} takes a date or a time, as in 2026-01-31 or 2026-01-31T06:00; not "{text}"'
        ) from None


def moment(text: str, zone: str | tzinfo) -> datetime:
    """Return the instant, in UTC, of `2026-01-31` or `2026-01-31T06:00`; see `on_clock`.

    Raises:
        ValueError: there is no such day or time.
    """
    try:
        instant = on_clock(datetime.fromisoformat(text), zone).astimezone(UTC)
        instant.astimezone(ZoneInfo(zone) if isinstance(zone, str) else zone)
        return instant
    except OverflowError as error:
        # At the edge of the calendar: there is none in UTC, or on the clock.
        raise ValueError(str(error)) from None
