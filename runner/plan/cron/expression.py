"""The instants at which a cron expression fires in a time zone, as Debian's cron has them.

- A fixed time (minute and hour do not begin with `*`) that the clocks skip fires once, right
  after the gap. One that they show twice fires once, at its first occurrence.
- An expression whose minute or hour begins with `*` follows real time: it fires in both
  occurrences of a repeated hour and never at a time that does not exist.

Croniter matches naive wall-clock times only; the mapping to instants is made here, because
croniter's own fires twice where clocks are put back.
"""

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from headrace.plan.cron.fields import parse
from headrace.plan.cron.zones import (
    end_of_gap,
    is_missing,
    is_repeated,
    offset,
    utc_to_wall,
    wall_to_utc,
)

if TYPE_CHECKING:
    from croniter import croniter


class CronExpression:
    """A checked cron expression in a time zone."""

    def __init__(self, expr: str, timezone: str = "UTC") -> None:
        """Read the expression.

        Raises:
            CronError: `expr` is no cron expression, or can never fire.
            ZoneInfoNotFoundError: no such time zone; see `check_timezone`.
        """
        self.zone = ZoneInfo(timezone)
        fields = parse(expr)
        self.follows_real_time = fields.follows_real_time
        self._fields = fields
        # The last answer and what it was asked for. It also answers every question between the
        # two, so that an idle daemon asks again and again at no cost.
        self._last: tuple[datetime, datetime] | None = None

    def next_after(self, after: datetime) -> datetime:
        """Return the first instant later than `after` (an aware datetime), in UTC."""
        after = after.astimezone(UTC)
        last = self._last
        if last is not None and last[0] <= after < last[1]:
            return last[1]
        found = self._find(after)
        self._last = (after, found)
        return found

    def instants(self, after: datetime) -> Iterator[datetime]:
        """Yield the instants later than `after`, in order, without end."""
        while True:
            after = self.next_after(after)
            yield after

    def wall_before(self, wall: datetime) -> datetime:
        """Return the last matching naive wall-clock time before `wall`, be it real or not."""
        found: datetime = self._walls(wall).get_prev(datetime)
        return found

    def _find(self, after: datetime) -> datetime:
        wall = utc_to_wall(after, self.zone)
        first = self._first(after, wall, fold=0)
        if not self.follows_real_time or not is_repeated(wall, self.zone):
            return first
        # Between the two occurrences of a repeated hour, the second one of an earlier wall
        # time may come before the first one of a later.
        start = (after + offset(wall, self.zone, 1)).replace(tzinfo=None)
        return min(first, self._first(after, start, fold=1))

    def _first(self, after: datetime, start: datetime, fold: int) -> datetime:
        """Return the first instant after `after` among the wall times later than `start`."""
        walls = self._walls(start)
        while True:
            instant = self._instant(walls.get_next(datetime), fold)
            if instant is not None and instant > after:
                return instant

    def _instant(self, wall: datetime, fold: int) -> datetime | None:
        if not is_missing(wall, self.zone):
            return wall_to_utc(wall, self.zone, fold)
        return None if self.follows_real_time else end_of_gap(wall, self.zone)

    @cached_property
    def _matcher(self) -> "croniter":
        # Imported here: it is slow to load, and a file's schedule is only checked.
        from croniter import croniter

        return croniter(self._fields.plain(), 0, day_or=not self._fields.both_days)

    def _walls(self, start: datetime) -> "croniter":
        # A copy, because an iterator has a place and several threads may ask at once.
        walls = copy(self._matcher)
        walls.set_current(start.replace(second=0, microsecond=0, fold=0))
        return walls


@lru_cache(maxsize=4096)
def compiled(expr: str, timezone: str) -> CronExpression:
    """Return the expression, read once per process. Raises as `CronExpression` does."""
    return CronExpression(expr, timezone)
