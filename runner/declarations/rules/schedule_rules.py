"""Rules for schedules and other times, beyond their schema."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from headrace.declarations.draft import Draft, Finding
from headrace.model.duration import parse_duration_s
from headrace.model.moments import moment
from headrace.plan.cron import check_cron, check_timezone

_CRON_HINT = "five fields (minute, hour, day of month, month, day of week) or @daily and the like"
_ZONE_HINT = "use an IANA name such as Europe/Berlin; the default is UTC"


def schedules_can_fire(draft: Draft) -> Iterator[Finding]:
    """Cron expressions are valid and fire at some time; time zones exist."""
    for path, expression in draft.crons():
        fault = check_cron(expression) if expression else None
        if fault:
            yield Finding(path, "bad-cron", *_guess_apart(fault, _CRON_HINT))
    for path, schedule in draft.schedules():
        zone = schedule.get("timezone")
        fault = check_timezone(zone) if isinstance(zone, str) and zone else None
        if fault:
            message, hint = _guess_apart(fault, _ZONE_HINT)
            yield Finding((*path, "timezone"), "bad-timezone", message, hint)


def _guess_apart(fault: str, otherwise: str) -> tuple[str, str]:
    """Return a fault without the guess at its end, and the guess or another hint."""
    message, found, guess = fault.partition(": did you mean ")
    return message, f"did you mean {guess}" if found else otherwise


def moments_exist(draft: Draft) -> Iterator[Finding]:
    """A schedule's start and end are days and times of the calendar, in this order."""
    for path, schedule in draft.schedules():
        moments: dict[str, datetime] = {}
        for key in ("start", "end"):
            text = schedule.get(key)
            # What does not even look like one has been reported by the schema.
            if not isinstance(text, str) or not text[:4].isdecimal():
                continue
            try:
                moments[key] = moment(text, _zone(schedule))
            except (ValueError, OverflowError):
                message = f'"{text}" is not a valid date or time'
                yield Finding((*path, key), "bad-moment", message, "check the day and the time")
        if len(moments) == 2 and moments["end"] <= moments["start"]:
            message = '"end" is not after "start": it would never be due'
            yield Finding((*path, "end"), "bad-moment", message, "swap them")


def _zone(schedule: Mapping[str, Any]) -> str:
    zone = schedule.get("timezone")
    return zone if isinstance(zone, str) and zone and not check_timezone(zone) else "UTC"


def durations_make_sense(draft: Draft) -> Iterator[Finding]:
    """Durations are at most ten years; timeouts and intervals are more than nothing."""
    for path, value, may_be_zero in draft.durations():
        if not isinstance(value, str):
            continue
        try:
            seconds = parse_duration_s(value)
        except ValueError as error:
            if "longer" in str(error):
                yield Finding(path, "bad-duration", str(error), "use a shorter one")
            continue
        if seconds == 0 and not may_be_zero:
            yield Finding(
                path, "bad-duration", f'"{path[-1]}" must be more than 0s', "use 1s or more"
            )
        elif path[-1] == "interval" and seconds < 1:
            yield Finding(path, "bad-duration", '"interval" must be at least 1s', "use 1s or more")
