"""The days that a calendar counts."""

from bisect import bisect_left
from datetime import date, timedelta

from headrace.model.pipeline import Calendar
from headrace.plan.calendars.countries import country_year

_DAY = timedelta(days=1)
_SATURDAY = 5

# Ten years. No calendar has a longer gap in it, unless nothing is left of it.
_SEARCHED_DAYS = 3653


class CountedDays:
    """Decides whether a calendar counts a day."""

    def __init__(self, calendar: Calendar) -> None:
        self._kind = calendar.days
        self._country = calendar.country
        self._subdivision = calendar.subdivision
        self._dates = calendar.dates

    def counts(self, day: date) -> bool:
        """Return whether the calendar counts this day."""
        if self._kind == "working":
            return not self._is_listed(day) and self._is_worked(day)
        holiday = self._is_listed(day) or self._is_public_holiday(day)
        return holiday == (self._kind == "holidays")

    def first_from(self, day: date) -> date | None:
        """Return the first counted day that is `day` or later; None if there is none for years."""
        if self._kind == "holidays" and self._country is None:
            at = bisect_left(self._dates, day)
            return self._dates[at] if at < len(self._dates) else None
        for _ in range(_SEARCHED_DAYS):
            if self.counts(day):
                return day
            if day == date.max:
                break
            day += _DAY
        return None

    def _is_listed(self, day: date) -> bool:
        at = bisect_left(self._dates, day)
        return at < len(self._dates) and self._dates[at] == day

    def _is_worked(self, day: date) -> bool:
        if self._country is None:
            return day.weekday() < _SATURDAY
        return day not in country_year(self._country, self._subdivision, day.year).off

    def _is_public_holiday(self, day: date) -> bool:
        if self._country is None:
            return False
        return day in country_year(self._country, self._subdivision, day.year).holidays
