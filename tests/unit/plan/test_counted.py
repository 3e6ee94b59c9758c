"""A schedule with a calendar has exactly the instants that fall on counted days."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.model.pipeline import Calendar, Schedule
from headrace.plan.calendar_instants import counted_instants
from headrace.plan.due import catch_up, due_between, last_between, next_instants
from headrace.plan.upcoming_instants import preview
from tests.support.generated import budget

DAY = timedelta(days=1)
BERLIN = "Europe/Berlin"

# Written down by hand, for 2026.
HOLIDAYS = {
    ("DE", "BE"): "01-01 03-08 04-03 04-06 05-01 05-14 05-25 10-03 12-25 12-26",
    ("US", None): "01-01 01-19 02-16 05-25 06-19 07-03 07-04 09-07 10-12 11-11 11-26 12-25",
    (None, None): "",
}


def expected(calendar: Calendar, day: date) -> bool:
    """Tell whether a day of 2026 counts, without the code under test."""
    holidays = HOLIDAYS[calendar.country, calendar.subdivision].split()
    holiday = f"{day:%m-%d}" in holidays or day in calendar.dates
    if calendar.days == "working":
        return day.isoweekday() < 6 and not holiday
    return holiday == (calendar.days == "holidays")


def on_counted_days(schedule: Schedule, instants: list[datetime]) -> list[datetime]:
    assert schedule.calendar is not None
    zone = ZoneInfo(schedule.timezone)
    return [at for at in instants if expected(schedule.calendar, at.astimezone(zone).date())]


calendars = st.builds(
    lambda days, place, dates: Calendar(days, place[0], place[1], tuple(sorted(dates))),
    st.sampled_from(["working", "holidays", "not_holidays"]),
    st.sampled_from(list(HOLIDAYS)),
    st.sets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=5),
)
times = st.one_of(
    st.fixed_dictionaries(
        {
            "cron": st.sampled_from(
                ["0 6 * * *", "30 2 * * *", "0 0 * * *", "*/20 1-3 * * *", "15 23 * * sat,sun,mon"]
            )
        }
    ),
    st.fixed_dictionaries({"interval_s": st.sampled_from([3600.0, 7 * 3600.0, 86400.0, 1e6])}),
)
zones = st.sampled_from(
    [
        "UTC",
        BERLIN,
        "America/New_York",
        "Asia/Kathmandu",
        "Africa/Cairo",
        "America/Nuuk",
        "Australia/Lord_Howe",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
    ]
)
moments = st.datetimes(datetime(2026, 1, 2), datetime(2026, 10, 1), timezones=st.just(UTC))


@given(times, zones, calendars, moments, st.integers(1, 60))
@example(
    {"cron": "30 2 * * *"},
    BERLIN,
    Calendar("holidays", dates=(date(2026, 3, 29),)),
    datetime(2026, 3, 20, tzinfo=UTC),
    20,
)
@budget(300)
def test_what_is_left_is_what_falls_on_counted_days_and_nothing_is_lost(
    named, zone, calendar, after, length
):
    until = after + length * DAY
    schedule = Schedule(**named, timezone=zone, calendar=calendar)
    everything = due_between(Schedule(**named, timezone=zone), after, until)

    found = due_between(schedule, after, until)

    assert found == on_counted_days(schedule, everything)
    assert last_between(schedule, after, until, 3) == found[-3:]
    assert next_instants(schedule, after, len(found)) == found


@given(times, calendars, moments, st.lists(st.integers(1, 100), max_size=10))
@budget(60)
def test_looking_often_and_looking_once_find_the_same(named, calendar, after, hours):
    schedule = Schedule(**named, timezone=BERLIN, calendar=calendar)
    often, at = [], after
    for pause in hours:
        often += due_between(schedule, at, at + timedelta(hours=pause))
        at += timedelta(hours=pause)

    assert often == due_between(schedule, after, at)


def test_the_day_is_that_of_the_schedules_clock():
    # 22:30 in New York on Christmas Eve is Christmas Day in UTC.
    calendar = Calendar("holidays", dates=(date(2026, 12, 24),))
    schedule = Schedule(cron="30 22 * * *", timezone="America/New_York", calendar=calendar)

    assert next_instants(schedule, datetime(2026, 12, 1, tzinfo=UTC), 5) == [
        datetime(2026, 12, 25, 3, 30, tzinfo=UTC)
    ]


def test_a_day_that_begins_after_midnight_keeps_its_first_instant():
    # In Cairo clocks go from 00:00 to 01:00 on April 24, 2026.
    calendar = Calendar("holidays", dates=(date(2026, 4, 24),))
    zone = ZoneInfo("Africa/Cairo")
    for cron, local in (("0 0 * * *", 1), ("30 * * * *", 1), ("0 2 * * *", 2)):
        schedule = Schedule(cron=cron, timezone="Africa/Cairo", calendar=calendar)
        (first,) = next_instants(schedule, datetime(2026, 1, 1, tzinfo=UTC), 1)
        assert (first.astimezone(zone).date(), first.astimezone(zone).hour) == (
            date(2026, 4, 24),
            local,
        )


def test_both_occurrences_of_a_repeated_hour_belong_to_their_day():
    calendar = Calendar("holidays", dates=(date(2026, 10, 25),))
    schedule = Schedule(cron="30 * * * *", timezone=BERLIN, calendar=calendar)

    assert len(next_instants(schedule, datetime(2026, 10, 1, tzinfo=UTC), 100)) == 25


@pytest.mark.parametrize("day", [29, 30, 31])
def test_a_day_whose_midnight_was_left_out_keeps_its_first_instant(day):
    # In Toronto clocks went from 23:30 of March 30, 1919 to 00:30 of the 31st.
    zone = ZoneInfo("America/Toronto")
    every = Schedule(cron="*/10 * * * *", timezone="America/Toronto")
    calendar = Calendar("holidays", dates=(date(1919, 3, day),))
    after, until = datetime(1919, 3, 28, tzinfo=UTC), datetime(1919, 4, 3, tzinfo=UTC)

    found = due_between(replace(every, calendar=calendar), after, until)

    everything = due_between(every, after, until)
    assert found == [at for at in everything if at.astimezone(zone).day == day]


@pytest.mark.parametrize("day", [5, 6, 7, 8])
def test_a_day_that_clocks_show_again_after_its_end_keeps_all_of_it(day):
    # In Newfoundland clocks went from 00:01 of November 7, 2010 back to 23:01 of the 6th.
    zone = ZoneInfo("America/St_Johns")
    every = Schedule(cron="*/10 * * * *", timezone="America/St_Johns")
    calendar = Calendar("holidays", dates=(date(2010, 11, day),))
    after, until = datetime(2010, 11, 4, tzinfo=UTC), datetime(2010, 11, 10, tzinfo=UTC)

    found = due_between(replace(every, calendar=calendar), after, until)

    everything = due_between(every, after, until)
    assert found == [at for at in everything if at.astimezone(zone).day == day]


def test_a_day_that_never_was_has_no_instant():
    # Samoa left out December 30, 2011.
    calendar = Calendar("holidays", dates=(date(2011, 12, 30),))
    schedule = Schedule(cron="0 6 * * *", timezone="Pacific/Apia", calendar=calendar)

    assert next_instants(schedule, datetime(2011, 12, 1, tzinfo=UTC), 5) == []


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(cron="0 6 * * sat", calendar=Calendar("working")),
        Schedule(cron="* * * * sun", calendar=Calendar("working", "DE")),
        Schedule(interval_s=1, calendar=Calendar("holidays", dates=(date(2020, 1, 1),))),
        Schedule(
            interval_s=7 * 86400,
            start=datetime(2026, 1, 4, tzinfo=UTC),
            calendar=Calendar("working"),
        ),
        Schedule(cron="0 6 1 1 *", calendar=Calendar("not_holidays", "US")),
    ],
)
def test_a_calendar_that_leaves_nothing_leaves_no_further_instant(schedule):
    after = datetime(2026, 2, 1, tzinfo=UTC)

    assert next_instants(schedule, after, 1) == []
    assert due_between(schedule, after, datetime(9000, 1, 1, tzinfo=UTC)) == []
    assert last_between(schedule, after, after + 5000 * DAY, 1) == []


def test_leap_days_that_are_working_days_are_found():
    schedule = Schedule(cron="0 0 29 2 *", calendar=Calendar("working"))

    years = [at.year for at in next_instants(schedule, datetime(2026, 1, 1, tzinfo=UTC), 4)]

    assert years == [2028, 2036, 2040, 2044]


def test_days_that_do_not_count_are_leapt_over():
    asked: list[datetime] = []
    yielded = 0

    def every_second(after: datetime) -> Iterator[datetime]:
        nonlocal yielded
        asked.append(after)
        while True:
            after += timedelta(seconds=1)
            yielded += 1
            yield after

    calendar = Calendar("holidays", dates=(date(2026, 12, 24), date(2026, 12, 31)))
    found = counted_instants(calendar, "UTC", datetime(2026, 1, 1, tzinfo=UTC), every_second)

    assert next(found) <= datetime(2026, 12, 24, 0, 0, 1, tzinfo=UTC)
    assert (len(asked), yielded) == (2, 2)


def test_holidays_are_not_missed_when_a_schedule_catches_up():
    calendar = Calendar("working", "DE", "BE", (date(2026, 12, 24), date(2026, 12, 31)))
    schedule = Schedule(cron="0 6 * * *", timezone=BERLIN, calendar=calendar)
    seen, now = datetime(2026, 12, 22, 12, tzinfo=UTC), datetime(2027, 1, 3, 12, tzinfo=UTC)
    due = due_between(schedule, seen, now)

    # New Year's Day is a holiday, the 2nd a Saturday.
    assert due == [datetime(2026, 12, day, 5, tzinfo=UTC) for day in (23, 28, 29, 30)]
    assert catch_up("all", due, now) == (due, [])
    assert catch_up("latest", due, now) == (due[-1:], due[:-1])
    assert catch_up("none", due, now) == ([], due)


def test_the_preview_shows_the_same_instants():
    schedule = Schedule(
        cron="30 2 * * *", timezone=BERLIN, calendar=Calendar("not_holidays", "DE", "BE")
    )
    after = datetime(2026, 3, 27, 12, tzinfo=UTC)

    rows = preview(schedule, after, 8)

    assert [row.instant for row in rows] == next_instants(schedule, after, 8)
    assert rows[1].note == "02:30 does not exist on 2026-03-29: fires once, right after the gap"
    assert not {date(2026, 4, 3), date(2026, 4, 6)} & {row.local.date() for row in rows}
