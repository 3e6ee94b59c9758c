"""Describes the effect of a daylight-saving change on one instant of a schedule."""

from datetime import datetime, timedelta

from headrace.model.pipeline import Schedule
from headrace.plan.cron import CronExpression
from headrace.plan.cron.zones import end_of_gap, is_missing, is_repeated, offset, utc_to_wall
from headrace.plan.due import cron_of


def dst_note(schedule: Schedule, instant: datetime) -> str | None:
    """Return what is unusual about an instant because clocks change, or None.

    `instant` is one of the schedule's. Intervals follow real time and have no notes.
    """
    cron = cron_of(schedule)
    if cron is None:
        return None
    wall = utc_to_wall(instant, cron.zone)
    if is_repeated(wall, cron.zone):
        return _repeated(cron, wall)
    return _missing(cron, wall, instant)


def _repeated(cron: CronExpression, wall: datetime) -> str:
    twice = offset(wall, cron.zone, 0) - offset(wall, cron.zone, 1)
    text = f"{wall:%H:%M} falls in the repeated {_length(twice)}: fires "
    if not cron.follows_real_time:
        return text + "once, at its first occurrence"
    return text + f"at both occurrences, this is the {'second' if wall.fold else 'first'}"


def _missing(cron: CronExpression, wall: datetime, instant: datetime) -> str | None:
    last = cron.wall_before(wall)
    if not is_missing(last, cron.zone):
        return None
    end = end_of_gap(last, cron.zone)
    if not cron.follows_real_time and end != instant:
        return None
    first = last
    while is_missing(previous := cron.wall_before(first), cron.zone):
        first = previous
    times = f"{first:%H:%M} does" if first == last else f"{first:%H:%M} to {last:%H:%M} do"
    outcome = "skipped" if cron.follows_real_time else "fires once, right after the gap"
    return f"{times} not exist on {last:%Y-%m-%d}: {outcome}"


def _length(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return "hour" if minutes == 60 else f"{minutes} minutes"
