"""What a cron expression and a time zone may say, and which dates they mean."""

import random
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from headrace.plan.cron import CronError, CronExpression, check_cron, check_timezone

NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "expr",
    [
        "* * * * *",
        "0 1 * * mon-fri",
        "*/15 8-18/2 1,15 jan-mar,DEC Sun",
        "0 0 * * sat-sun",
        "0 0 * * 7",
        "0 0 29 2 *",
        "0 0 30 2 mon",
        "  5\t4  * * *  ",
        "0 */24 * * *",
        *("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"),
        "@Daily",
    ],
)
def test_five_fields_and_the_at_names_are_cron_expressions(expr):
    assert check_cron(expr) is None
    assert CronExpression(expr).next_after(NEW_YEAR) > NEW_YEAR


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("", "empty"),
        (" \t", "empty"),
        ("* * * *", "has 4 fields, not five"),
        ("1", "has 1 field, not five"),
        ("0 0 0 * * *", "seconds and years are not supported"),
        ("0 0 * * * * 2025", "has 7 fields"),
        ("0\u00a00\u00a0*\u00a0*\u00a0*", "has 1 field, not five"),
        ("60 * * * *", "minute 60 is out of range: 0 to 59"),
        ("0 24 * * *", "hour 24 is out of range: 0 to 23"),
        ("0 0 0 * *", "day of month 0 is out of range: 1 to 31"),
        ("0 0 * 13 *", "month 13 is out of range: 1 to 12"),
        ("0 0 * * 8", "day of week 8 is out of range: 0 to 7"),
        ("0 0 30 2 *", "never fires: no such month has a day 30"),
        ("0 0 31 2,4,jun,9,11 *", "never fires: no such month has a day 31"),
        ("0 0 31 4 */2", "never fires: no such month has a day 31"),
        ("59/15 * * * *", "a step needs a range or a star before it"),
        ("5/15 * * * *", "as in 0-59/15 or */15"),
        ("*/0 * * * *", "must be a whole number above 0"),
        ("*/x * * * *", "must be a whole number above 0"),
        ("*/90 * * * *", "a step of 90 is longer than its range of 60"),
        ("0 22-2 * * *", "write it as two ranges, as in 22-23,0-2"),
        ("0 0 * * fri-mon", "runs backwards"),
        ("0 0 * foo *", 'month "foo" is not understood'),
        ("0 0 * * mon#1", 'day of week "mon#1" is not understood'),
        ("0 0 L * *", 'day of month "l" is not understood'),
        ("0 0 ? * *", 'day of month "?" is not understood'),
        ("H * * * *", 'minute "h" is not understood'),
        ("1,,2 * * * *", 'minute "" is not understood'),
        ("-5 * * * *", 'minute "" is not understood'),
        ("٣ * * * *", "is not understood"),
        ("@dayly", 'did you mean "@daily"?'),
        ("@reboot", "known names: @hourly"),
        ("@every 5m", "write interval: instead"),
        ("1," * 300 + "1 * * * *", "longer than 500 characters"),
    ],
)
def test_anything_else_is_refused_and_told_why(expr, said):
    problem = check_cron(expr)

    assert problem is not None
    assert said in problem
    with pytest.raises(CronError):
        CronExpression(expr)


def test_the_hint_of_a_refused_expression_is_itself_accepted():
    assert check_cron("0-59/15 * * * *") is None
    assert check_cron("0 22-23,0-2 * * *") is None
    assert check_cron("0 0 * * fri-7,0-mon") is None


@pytest.mark.generated
def test_random_text_is_refused_or_fires_but_never_breaks(seeds):
    for seed in seeds(3000):
        rng = random.Random(seed)
        expr = "".join(rng.choice("*/,-0123456789 @amonjs\t#L") for _ in range(rng.randint(1, 16)))
        if check_cron(expr) is None:
            assert CronExpression(expr).next_after(NEW_YEAR) > NEW_YEAR


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5"])
def test_iana_names_are_time_zones(name):
    assert check_timezone(name) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Europe/Berlim", 'did you mean "Europe/Berlin"?'),
        ("europe/berlin", 'did you mean "Europe/Berlin"?'),
        ("Berlin", 'did you mean "Europe/Berlin"?'),
        ("Buenos Aires", 'did you mean "America/Argentina/Buenos_Aires"?'),
        ("new york", 'did you mean "America/New_York"?'),
        ("CEST", "IANA names are expected"),
        ("+02:00", "IANA names are expected"),
        ("", "empty"),
        ("../../etc/passwd", "is not a known time zone"),
        ("/etc/localtime", "is not a known time zone"),
        ("UTC\0", "is not a known time zone"),
    ],
)
def test_other_time_zones_are_refused_with_the_one_that_was_meant(name, said):
    problem = check_timezone(name)

    assert problem is not None
    assert said in problem


def days_of(expr: str, year: int) -> set[date]:
    instants = CronExpression(expr).instants(
        datetime(year, 1, 1, tzinfo=UTC) - timedelta(minutes=1)
    )
    days: set[date] = set()
    for instant in instants:
        if instant.year > year:
            return days
        days.add(instant.date())
    raise AssertionError("a schedule has no end")


def every_day_of(year: int) -> list[date]:
    return [d for n in range(366) if (d := date(year, 1, 1) + timedelta(n)).year == year]


def test_either_day_field_is_enough_where_both_are_restricted():
    expected = {d for d in every_day_of(2025) if d.day in (1, 13) or d.isoweekday() == 5}

    assert days_of("0 0 1,13 * fri", 2025) == expected


def test_a_full_range_of_days_is_a_restriction_and_matches_every_day():
    assert days_of("0 0 1-31 * mon", 2025) == set(every_day_of(2025))
    assert days_of("0 0 1 * 0-6", 2025) == set(every_day_of(2025))


def test_both_day_fields_must_match_where_one_begins_with_a_star():
    expected = {d for d in every_day_of(2025) if d.day % 2 == 1 and d.isoweekday() == 1}

    assert days_of("0 0 */2 * mon", 2025) == expected


def test_a_day_that_a_month_lacks_is_passed_over():
    expected = {d for d in every_day_of(2025) if d.day == 31}

    assert days_of("0 0 31 * *", 2025) == expected


def test_the_29th_of_february_comes_every_leap_year_only():
    years = [i.year for i in islice(CronExpression("0 0 29 2 *").instants(NEW_YEAR), 3)]

    assert years == [2028, 2032, 2036]


def test_sunday_is_0_and_7_and_may_end_a_week():
    assert days_of("0 0 * * 0", 2025) == days_of("0 0 * * 7", 2025) == days_of("0 0 * * sun", 2025)
    assert days_of("0 0 * * sat-sun", 2025) == days_of("0 0 * * 6,0", 2025)


@pytest.mark.generated
def test_dates_agree_with_cronsim_over_years(seeds):
    def number_field(rng: random.Random, low: int, high: int) -> str:
        first = rng.randint(low, high)
        last = rng.randint(first, high)
        step = rng.randint(1, max(1, (last - first) // 2))
        # Cronsim reads 5-5/1 as 5/1, "from 5 to the end".
        range_ = f"{first}-{last}/{step}" if first < last else str(first)
        return rng.choice(("*", "*", str(first), f"{first},{last}", range_))

    compared = 0
    for seed in seeds(1500):
        rng = random.Random(seed)
        expr = " ".join(
            number_field(rng, low, high)
            for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
        )
        if check_cron(expr) is not None:
            continue
        start = NEW_YEAR + timedelta(minutes=rng.randrange(6 * 365 * 1440))
        told = list(islice(CronSim(expr, start), 5))
        assert list(islice(CronExpression(expr).instants(start), 5)) == told, (expr, start)
        compared += 1

    assert compared > 1400


def test_the_next_instant_is_later_than_its_start_to_the_microsecond():
    daily = CronExpression("0 6 * * *")
    six = datetime(2025, 1, 1, 6, tzinfo=UTC)

    assert daily.next_after(six - timedelta(microseconds=1)) == six
    assert daily.next_after(six) == six + timedelta(days=1)
    assert daily.next_after(six + timedelta(microseconds=1)) == six + timedelta(days=1)


def test_the_start_may_stand_in_any_zone_and_the_instant_is_utc():
    start = datetime(2025, 7, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo"))

    found = CronExpression("0 6 * * *", "Europe/Berlin").next_after(start)

    assert found == datetime(2025, 7, 1, 4, tzinfo=UTC)
    assert found.tzinfo is UTC


def test_a_remembered_answer_is_the_same_as_a_fresh_one():
    rng = random.Random(4)
    kept = CronExpression("*/20 1-3 * * *", "Europe/London")
    for _ in range(300):
        start = datetime(2025, 10, 25, 22, tzinfo=UTC) + timedelta(minutes=rng.randrange(600))
        assert kept.next_after(start) == CronExpression(
            "*/20 1-3 * * *", "Europe/London"
        ).next_after(start)
