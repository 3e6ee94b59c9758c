"""Computes due runs: the instants of a schedule, and the handling of missed ones.

Every function is pure. Instants are aware datetimes in UTC.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from headrace.model.pipeline import Schedule
from headrace.plan.calendar_instants import counted_instants
from headrace.plan.cron import CronExpression, compiled

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# With `catchup: none` a run is on time, not missed, for one minute: cron's own grain, and more
# than a standby daemon needs to take over.
ON_TIME_S = 60.0


class CatchUp(NamedTuple):
    """Due instants that get a run, and those that are passed over, both in order."""

    fire: list[datetime]
    skipped: list[datetime]


def next_instants(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` instants later than `after`; fewer where the schedule ends.

    Raises:
        CronError: the cron expression is none.
        ValueError: the schedule has not exactly one of cron and interval, or no positive one.
    """
    return list(islice(_instants(schedule, after), count))


def due_between(
    schedule: Schedule, after: datetime, until: datetime, limit: int | None = None
) -> list[datetime]:
    """Return the instants later than `after` and not later than `until`, the first `limit`.

    Raises as `next_instants` does.
    """
    return list(islice(_instants(schedule, after, until), limit))


def last_between(
    schedule: Schedule, after: datetime, until: datetime, limit: int
) -> list[datetime]:
    """Return the last `limit` instants later than `after` and not later than `until`, in order.

    After a long pause only the end of it counts for `catchup: latest` and within a window: it
    is found from behind, whatever the length of the pause.

    Raises as `next_instants` does.
    """
    span = timedelta(hours=1)
    while until - span > after:
        due = due_between(schedule, until - span, until)
        if len(due) >= limit:
            return due[len(due) - limit :]
        span *= 4
    due = due_between(schedule, after, until)
    return due[max(0, len(due) - limit) :]


def catch_up(
    policy: str,
    instants: Sequence[datetime],
    now: datetime,
    window_s: float | None = None,
    start_deadline_s: float | None = None,
) -> CatchUp:
    """Decide about the due instants that have no run yet.

    - `none`: only the latest one, and only if it is on time: not older than the start
      deadline, or than one minute where there is none.
    - `latest`: only the latest one, however old.
    - `all`: every one.

    Under each, an instant older than `window_s` or than `start_deadline_s` is skipped. With
    jitter, compare with `now` less the pipeline's `jitter_offset_s`.

    Raises:
        ValueError: no such policy.
    """
    if policy not in ("none", "latest", "all"):
        raise ValueError(f'"{policy}" is not a catch-up policy: none, latest or all')
    limits = [limit for limit in (window_s, start_deadline_s) if limit is not None]
    if policy == "none" and start_deadline_s is None:
        limits.append(ON_TIME_S)
    oldest = now - timedelta(seconds=min(limits)) if limits else None
    ordered = sorted(instants)
    wanted = ordered if policy == "all" else ordered[-1:]
    fire = [instant for instant in wanted if oldest is None or instant >= oldest]
    fired = set(fire)
    return CatchUp(fire, [instant for instant in ordered if instant not in fired])


def jitter_offset_s(pipeline: str, jitter_s: float) -> float:
    """Return how long after its instants a pipeline starts, in seconds: 0 up to `jitter_s`.

    The same for a name on every machine and for ever, spread evenly over names. The run's
    logical date stays the instant.
    """
    digest = hashlib.sha256(pipeline.encode()).digest()
    return jitter_s * int.from_bytes(digest[:8]) / 2**64


def start_time(schedule: Schedule, pipeline: str, instant: datetime) -> datetime:
    """Return when the run of `instant` is to start: the instant and the pipeline's jitter."""
    return instant + timedelta(seconds=jitter_offset_s(pipeline, schedule.jitter_s))


def cron_of(schedule: Schedule) -> CronExpression | None:
    """Return the schedule's cron expression, or None where it is an interval."""
    if (schedule.cron is None) == (schedule.interval_s is None):
        raise ValueError("a schedule has either cron or interval")
    return None if schedule.cron is None else compiled(schedule.cron, schedule.timezone)


def _instants(
    schedule: Schedule, after: datetime, until: datetime | None = None
) -> Iterator[datetime]:
    """Yield the instants later than `after` and not later than `until`, those of its calendar."""
    after = after.astimezone(UTC)
    if schedule.start is not None:
        # The start itself belongs to the schedule.
        after = max(after, schedule.start.astimezone(UTC) - timedelta(microseconds=1))
    cron, end = cron_of(schedule), schedule.end

    def named(after: datetime) -> Iterator[datetime]:
        instants = cron.instants(after) if cron else _multiples(schedule, after)
        return takewhile(
            lambda instant: (end is None or instant < end) and (until is None or instant <= until),
            instants,
        )

    if schedule.calendar is None:
        return named(after)
    return counted_instants(schedule.calendar, schedule.timezone, after, named)


def _multiples(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield the multiples of the interval, counted from the schedule's start or the epoch.

    So every daemon finds the same ones, also after a restart, and 15m is at :00, :15, :30
    and :45. Counted in whole microseconds: floats would drift.
    """
    interval = timedelta(seconds=schedule.interval_s or 0)
    if interval <= timedelta(0):
        raise ValueError(f"an interval must be longer than 0 s, not {schedule.interval_s} s")
    anchor = schedule.start or EPOCH
    instant = anchor.astimezone(UTC) + ((after - anchor) // interval + 1) * interval
    while True:
        yield instant
        instant += interval
