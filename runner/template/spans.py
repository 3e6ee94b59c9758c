"""Spans of time in templates: days follow the clock on the wall, hours pass in real time.

As PostgreSQL's intervals have it. Python alone would count both on the wall clock wherever a
time has a zone, so that an hour before a change of the clocks would be none, or two.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from headrace.errors import TemplateError

_NOTHING = timedelta(0)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


class Span(timedelta):
    """A span of days on the wall clock and of `real` time; as a timedelta it is their sum."""

    real: timedelta

    def __new__(cls, wall: timedelta = _NOTHING, real: timedelta = _NOTHING) -> "Span":
        """Make a span of both parts."""
        whole = wall + real
        made = super().__new__(cls, whole.days, whole.seconds, whole.microseconds)
        made.real = real
        return made

    @property
    def wall(self) -> timedelta:
        """The part that follows the wall clock."""
        return timedelta.__sub__(self, self.real)

    @property
    def interval(self) -> str:
        """Return the span as PostgreSQL reads it, whose days are the wall clock's, too."""
        days, rest = divmod(self.wall, _DAY)
        return f"{days} days {(rest + self.real) // _MICROSECOND} microseconds"

    def __add__(self, other: timedelta) -> "Span":
        if not isinstance(other, timedelta):
            return NotImplemented
        added = span_of(other)
        return Span(self.wall + added.wall, self.real + added.real)

    __radd__ = __add__

    def __sub__(self, other: timedelta) -> "Span":
        if not isinstance(other, timedelta):
            return NotImplemented
        return self + -span_of(other)

    def __rsub__(self, other: timedelta) -> "Span":
        if not isinstance(other, timedelta):
            return NotImplemented
        return -self + other

    def __neg__(self) -> "Span":
        return Span(-self.wall, -self.real)

    def __pos__(self) -> "Span":
        return self

    def __abs__(self) -> "Span":
        return -self if self < _NOTHING else self

    def __mul__(self, factor: float) -> "Span":
        if not isinstance(factor, int | float):
            return NotImplemented
        return Span(self.wall * factor, self.real * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Any:
        if not isinstance(divisor, int | float):
            return super().__truediv__(divisor)
        return Span(self.wall / divisor, self.real / divisor)


def span_of(value: timedelta) -> Span:
    """Return a span as one; of a bare timedelta whole days are the wall's, the rest is real."""
    if isinstance(value, Span):
        return value
    return Span(timedelta(days=value.days), value - timedelta(days=value.days))


def add(left: Any, right: Any) -> Any:
    """Return `left + right`, of which one is a date, a time or a span.

    Raises:
        TemplateError: Hours are added to a date, which has none.
        TypeError: The two cannot be added.
    """
    if isinstance(left, timedelta) and isinstance(right, date):
        return _later(right, left)
    if isinstance(left, date) and isinstance(right, timedelta):
        return _later(left, right)
    return left + right


def subtract(left: Any, right: Any) -> Any:
    """Return `left - right`, of which one is a date, a time or a span; raises as `add` does."""
    if isinstance(left, date) and isinstance(right, timedelta):
        return _later(left, -span_of(right))
    if isinstance(left, datetime) and isinstance(right, datetime):
        # Two times of one zone: Python would leave out what the clocks were changed by.
        return Span(real=instant(left) - instant(right))
    return left - right


def instant(value: Any) -> Any:
    """Return a time that has a zone in UTC, where the order of times is that of instants."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value


def _later(moment: date, span: timedelta) -> date:
    span = span_of(span)
    if not isinstance(moment, datetime):
        if span % _DAY:
            raise TemplateError(
                f"{moment} is a date, which has no hours: convert it to a time first, as in"
                " params.day | datetime"
            )
        return moment + timedelta(days=span // _DAY)
    if span.wall:
        moment = moment + span.wall
    if span.real and moment.tzinfo is not None:
        return (moment.astimezone(UTC) + span.real).astimezone(moment.tzinfo)
    return moment + span.real
