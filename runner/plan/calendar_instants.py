"""The instants that a schedule's calendar leaves of all that its cron or interval names.

An instant whose day, on the schedule's clock, is not counted is none: nothing is due then, and
nothing is missed.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from headrace.model.pipeline import Calendar
from headrace.plan.calendars import CountedDays
from headrace.plan.cron.zones import end_of_gap, is_missing, wall_to_utc

# A schedule that names no counted day for so long never will: `0 6 * * sat` on working days.
# February 29 is a working day every eight years at the least.
_PATIENCE = timedelta(days=3653)
_DAY = timedelta(days=1)

# No clock is put back by more, and no date line has been moved since 1969.
_LONGEST_SHIFT = timedelta(hours=3)


def counted_instants(
    calendar: Calendar,
    timezone: str,
    after: datetime,
    instants_after: Callable[[datetime], Iterator[datetime]],
) -> Iterator[datetime]:
    """Yield the instants later than `after` that fall on counted days.

    `instants_after` yields all instants later than a moment, in order. Days that are not
    counted are leapt over, so that an instant a second costs no more than one a day. Ends
    where ten years hold no counted instant.
    """
    days, zone = CountedDays(calendar), ZoneInfo(timezone)
    instants = instants_after(after)
    last = after
    while (instant := next(instants, None)) is not None:
        local = instant.astimezone(zone)
        if days.counts(local.date()):
            yield instant
            last = instant
            continue
        if instant - last > _PATIENCE:
            return
        if _shows_yesterday_again(local) and days.counts(local.date() - _DAY):
            continue
        resume = _next_counted(days, local)
        if resume is None:
            return
        if resume > instant:
            instants = instants_after(resume - timedelta(microseconds=1))


def _shows_yesterday_again(local: datetime) -> bool:
    """Return whether clocks are put back soon, perhaps over midnight (Newfoundland until 2011)."""
    if local.time() >= time(hour=3):
        return False
    later = (local.astimezone(UTC) + _LONGEST_SHIFT).astimezone(local.tzinfo)
    before, after = local.utcoffset(), later.utcoffset()
    return before is not None and after is not None and after < before


def _next_counted(days: CountedDays, local: datetime) -> datetime | None:
    """Return when the next counted day after that of `local` begins, in UTC."""
    if local.date() == date.max:
        return None
    day = days.first_from(local.date() + _DAY)
    if day is None:
        return None
    zone = local.tzinfo
    assert isinstance(zone, ZoneInfo)
    midnight = datetime.combine(day, time.min)
    if is_missing(midnight, zone):
        return end_of_gap(midnight, zone)
    return wall_to_utc(midnight, zone)
