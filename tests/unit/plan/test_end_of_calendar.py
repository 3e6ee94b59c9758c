"""The last day that there is has no day after it."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from headrace.model.pipeline import Calendar
from headrace.plan.calendar_instants import _next_counted
from headrace.plan.calendars import CountedDays


def test_after_the_last_day_no_day_counts() -> None:
    days = CountedDays(Calendar("not_holidays", None, None, (date(2026, 12, 24),)))

    assert _next_counted(days, datetime(9999, 12, 31, 12, tzinfo=ZoneInfo("UTC"))) is None
    found = _next_counted(days, datetime(2026, 12, 23, 12, tzinfo=ZoneInfo("UTC")))
    assert found == datetime(2026, 12, 25, tzinfo=ZoneInfo("UTC"))
