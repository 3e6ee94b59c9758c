"""Dates in templates: `{{ params.day - days(1) }}`, `{{ run.logical_date | iso }}`."""

from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from typing import Any

from jinja2.runtime import Context
from jinja2.utils import pass_context

from headrace.errors import TemplateError
from headrace.template.spans import Span

# A text of this length has no time: 2026-01-31.
_DATE = 10


def days(count: float) -> Span:
    """A span of `count` days, on the wall clock."""
    return Span(timedelta(days=count))


def weeks(count: float) -> Span:
    """A span of `count` weeks, on the wall clock."""
    return Span(timedelta(weeks=count))


def hours(count: float) -> Span:
    """A span of `count` hours of real time."""
    return Span(real=timedelta(hours=count))


def minutes(count: float) -> Span:
    """A span of `count` minutes of real time."""
    return Span(real=timedelta(minutes=count))


def seconds(count: float) -> Span:
    """A span of `count` seconds of real time."""
    return Span(real=timedelta(seconds=count))


def as_date(value: Any) -> date:
    """Return a date, a datetime or an ISO 8601 text as a date.

    Raises:
        TemplateError: it is none of these.
    """
    if isinstance(value, str):
        return as_datetime(value).date()
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    raise TemplateError(f"{value!r} is not a date: write it as 2026-01-31")


def as_datetime(value: Any) -> datetime:
    """Return a date, a datetime or an ISO 8601 text as a datetime.

    Raises:
        TemplateError: it is none of these.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise TemplateError(f"{value!r} is not a date: write it as 2026-01-31") from error


@pass_context
def as_instant(context: Context, value: Any) -> datetime:
    """Return a time with its zone: one that is written without is on the run's clock.

    Raises:
        TemplateError: see `as_datetime`.
    """
    moment = as_datetime(value)
    if moment.tzinfo is not None:
        return moment
    run = context.get("run")
    logical = run.get("logical_date") if isinstance(run, Mapping) else None
    zone = logical.tzinfo if isinstance(logical, datetime) else None
    return moment.replace(tzinfo=zone or UTC)


def iso(value: Any) -> str:
    """Return a date or datetime in ISO 8601."""
    return value.isoformat() if isinstance(value, date) else as_datetime(value).isoformat()


def strftime(value: Any, pattern: str) -> str:
    """Return a date written by a pattern such as `%Y%m%d`."""
    return as_datetime(value).strftime(pattern)


def month_start(value: Any) -> date:
    """Return the first day of the date's month."""
    return as_date(value).replace(day=1)


def add_months(value: Any, count: Any) -> date:
    """Return a date or time so many months later, or earlier; the month's last day at most.

    Raises:
        TemplateError: it is no date, or there is no such one.
    """
    timeless = isinstance(value, date) and not isinstance(value, datetime)
    timeless |= isinstance(value, str) and len(value) <= _DATE
    start = as_date(value) if timeless else as_datetime(value)
    if isinstance(count, bool) or not isinstance(count, int):
        raise TemplateError(f"months and years are added in whole numbers, not {count!r}")
    year, month = divmod(start.year * 12 + start.month - 1 + count, 12)
    if not MINYEAR <= year <= MAXYEAR:
        raise TemplateError(f"the year {year} is beyond {MINYEAR} to {MAXYEAR}")
    last = monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(start.day, last))


def add_years(value: Any, count: Any) -> date:
    """Return a date or time so many years later, or earlier; 29 February becomes the 28th.

    Raises:
        TemplateError: see `add_months`.
    """
    return add_months(value, count * 12 if isinstance(count, int) else count)


DATE_GLOBALS: dict[str, Callable[..., Any]] = {
    "days": days,
    "weeks": weeks,
    "hours": hours,
    "minutes": minutes,
    "seconds": seconds,
}
DATE_FILTERS: dict[str, Callable[..., Any]] = {
    "date": as_date,
    "datetime": as_instant,
    "iso": iso,
    "strftime": strftime,
    "month_start": month_start,
    "add_months": add_months,
    "add_years": add_years,
}
