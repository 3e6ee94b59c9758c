"""The next instants of a schedule, as `headrace cron` and `headrace plan` print them."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from headrace.model.pipeline import Calendar, Schedule
from headrace.plan.dst import dst_note
from headrace.plan.due import next_instants


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One instant: in UTC, on the schedule's clock, and what is unusual about it."""

    instant: datetime
    local: datetime
    note: str | None

    @property
    def offset(self) -> str:
        """The local clock's distance from UTC, as in `+02:00`."""
        return self.local.isoformat()[19:]

    def as_json(self) -> dict[str, str | None]:
        """Return the row for a program, times as ISO 8601."""
        return {
            "instant": self.instant.isoformat().replace("+00:00", "Z"),
            "local": self.local.isoformat(),
            "offset": self.offset,
            "note": self.note,
        }

    def __str__(self) -> str:
        text = f"{self.instant:%Y-%m-%d %H:%M:%S}Z  {self.local:%a %Y-%m-%d %H:%M:%S} {self.offset}"
        return f"{text}  {self.note}" if self.note else text


def preview(schedule: Schedule, after: datetime, count: int) -> list[PreviewRow]:
    """Return the next `count` instants later than `after`; fewer where the schedule ends.

    Raises:
        CronError: the schedule's cron expression is none. Check with `check_cron` before.
    """
    zone = ZoneInfo(schedule.timezone)
    return [
        PreviewRow(instant, instant.astimezone(zone), dst_note(schedule, instant))
        for instant in next_instants(schedule, after, count)
    ]


def preview_cron(
    expr: str, timezone: str, after: datetime, count: int, calendar: Calendar | None = None
) -> list[PreviewRow]:
    """Return the rows of `headrace cron EXPR --timezone Z --from T -n N`. Raises as `preview`."""
    return preview(Schedule(cron=expr, timezone=timezone, calendar=calendar), after, count)
