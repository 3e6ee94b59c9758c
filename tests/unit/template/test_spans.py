"""Spans of time in templates, over the changes of the clocks of every zone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from headrace.errors import TemplateError
from headrace.model.pipeline import Schedule
from headrace.plan.due import due_between
from headrace.template import evaluate, render_value

YEAR = datetime(2026, 1, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def changes_of(zone: ZoneInfo) -> tuple[Any, ...]:
    """Return when the zone's clocks change in 2026, with the offsets before and after.

    No zone's do so twice in five days. Each process of a test run looks at all zones.
    """
    found = []
    for day in range(0, 365, 5):
        low, high = YEAR + timedelta(days=day), YEAR + timedelta(days=day + 5)
        old, new = (moment.astimezone(zone).utcoffset() for moment in (low, high))
        if old == new:
            continue
        while high - low > timedelta(minutes=1):
            middle = low + (high - low) / 2
            if middle.astimezone(zone).utcoffset() == old:
                low = middle
            else:
                high = middle
        found.append((high, old, new))
    return tuple(found)


def changing_zones() -> Iterator[str]:
    """Yield one zone of each set of those whose clocks change at the same instants."""
    known = set()
    for name in sorted(available_timezones()):
        changes = changes_of(ZoneInfo(name))
        if changes and changes not in known:
            known.add(changes)
            yield name


ZONES = list(changing_zones())


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("schedule", "width"),
    [
        ({"interval_s": 900.0}, "minutes(15)"),
        ({"interval_s": 3600.0}, "hours(1)"),
        ({"cron": "0 12 * * *"}, "days(1)"),
    ],
)
def test_adjacent_windows_hold_each_instant_once_over_every_change_of_clocks(zone, schedule, width):
    for change, _before, _after in changes_of(ZoneInfo(zone)):
        due = due_between(
            Schedule(timezone=zone, **schedule),
            change - timedelta(days=3),
            change + timedelta(days=3),
        )
        for before, instant in pairwise(due):
            run = {"logical_date": instant.astimezone(ZoneInfo(zone))}
            began = evaluate(f"run.logical_date - {width}", {"run": run})

            assert began.astimezone(UTC) == before, f"the window of {instant} in {zone}"


def test_every_change_of_clocks_is_looked_at():
    assert len(ZONES) > 15
    assert "Australia/LHI" in ZONES or "Australia/Lord_Howe" in ZONES


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # 2026-03-29 02:00 +01:00 became 03:00 +02:00.
        ("{{ spring - hours(1) }}", "2026-03-29T01:30:00+01:00"),
        ("{{ spring - minutes(60) }}", "2026-03-29T01:30:00+01:00"),
        ("{{ spring - seconds(3600) }}", "2026-03-29T01:30:00+01:00"),
        ("{{ -hours(1) + spring }}", "2026-03-29T01:30:00+01:00"),
        ("{{ spring - 2 * hours(1) / 2 }}", "2026-03-29T01:30:00+01:00"),
        ("{{ spring - hours(24) }}", "2026-03-28T02:30:00+01:00"),
        ("{{ spring - days(1) }}", "2026-03-28T03:30:00+01:00"),
        ("{{ spring - weeks(1) }}", "2026-03-22T03:30:00+01:00"),
        ("{{ spring - (days(1) + hours(1)) }}", "2026-03-28T02:30:00+01:00"),
        ("{{ autumn - hours(1) }}", "2026-10-25T02:30:00+02:00"),
        ("{{ autumn - (autumn - hours(1)) }}", 3600.0),
        ("{{ autumn > autumn - hours(1) }}", True),
        ("{{ autumn - minutes(50) < autumn }}", True),
        ("{{ autumn == autumn - hours(1) }}", False),
        ("{{ hours(1) < days(1) }}", True),
        ("{{ day - hours(24) }}", "2026-03-28"),
    ],
)
def test_hours_pass_in_real_time_and_days_on_the_wall_clock(expression, value):
    context = {
        "spring": datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN),
        "autumn": datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
        "day": date(2026, 3, 29),
    }

    assert render_value(expression, context) == value


def test_hours_off_a_date_are_refused_as_a_date_has_none():
    with pytest.raises(TemplateError, match="has no hours"):
        render_value("{{ day - hours(1) }}", {"day": date(2026, 3, 29)})


@pytest.mark.parametrize(
    ("span", "interval"),
    [
        ("hours(36)", "0 days 129600000000 microseconds"),
        ("days(2)", "2 days 0 microseconds"),
        ("-(days(1) + hours(1))", "-1 days -3600000000 microseconds"),
    ],
)
def test_a_bound_span_keeps_its_hours_apart_from_its_days(span, interval):
    assert evaluate(span, {}).interval == interval
