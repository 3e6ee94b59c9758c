"""Which days a calendar counts, against holidays written down by hand."""

import subprocess
import sys
from datetime import date, timedelta

import pytest

from headrace.model.pipeline import Calendar
from headrace.plan.calendars import CountedDays, check_country, check_subdivision
from headrace.plan.calendars.countries import country_year
from tests.support.cli import REPOSITORY, environment

# From the laws of the country, the federal state and the Office of Personnel Management.
BERLIN_2026 = "01-01 03-08 04-03 04-06 05-01 05-14 05-25 10-03 12-25 12-26"
BAVARIA_2026 = "01-01 01-06 04-03 04-06 05-01 05-14 05-25 06-04 10-03 11-01 12-25 12-26"
# Independence Day is a Saturday: Friday is kept, too.
US_2026 = "01-01 01-19 02-16 05-25 06-19 07-03 07-04 09-07 10-12 11-11 11-26 12-25"
# Juneteenth and Christmas are Saturdays, July 4 is a Sunday, and so is New Year's Day of 2028 a
# Saturday.
US_2027 = (
    "01-01 01-18 02-15 05-31 06-18 06-19 07-04 07-05 09-06 10-11 11-11 11-25 12-24 12-25 12-31"
)


def days_of(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [day for n in range(366) if (day := first + timedelta(days=n)).year == year]


def written(year: int, days: str) -> list[date]:
    return [date.fromisoformat(f"{year}-{day}") for day in days.split()]


@pytest.mark.parametrize(
    ("country", "subdivision", "year", "expected"),
    [
        ("DE", "BE", 2026, BERLIN_2026),
        ("DE", "BY", 2026, BAVARIA_2026),
        ("US", None, 2026, US_2026),
        ("US", None, 2027, US_2027),
    ],
)
def test_holidays_are_those_of_the_law(country, subdivision, year, expected):
    holidays = CountedDays(Calendar("holidays", country, subdivision))
    others = CountedDays(Calendar("not_holidays", country, subdivision))

    found = [day for day in days_of(year) if holidays.counts(day)]

    assert found == written(year, expected)
    assert [day for day in days_of(year) if not others.counts(day)] == found


def test_a_working_day_is_neither_weekend_nor_holiday():
    working = CountedDays(Calendar("working", "DE", "BE", (date(2026, 12, 24),)))
    closed = {*written(2026, BERLIN_2026), date(2026, 12, 24)}

    for day in days_of(2026):
        assert working.counts(day) == (day.isoweekday() < 6 and day not in closed), day


@pytest.mark.parametrize(
    ("country", "weekend"),
    [("DE", {6, 7}), ("IL", {5, 6}), ("EG", {5, 6}), ("IR", {5}), (None, {6, 7})],
)
def test_the_weekend_is_the_countrys(country, weekend):
    working = CountedDays(Calendar("working", country))
    holidays = country_year(country, None, 2026).holidays if country else frozenset()

    off = {
        day.isoweekday() for day in days_of(2026) if not working.counts(day) and day not in holidays
    }

    assert off == weekend


def test_a_weekend_day_that_is_worked_in_exchange_for_a_holiday_is_a_working_day():
    # China, Spring Festival of 2025.
    working = CountedDays(Calendar("working", "CN"))

    assert working.counts(date(2025, 1, 26))
    assert working.counts(date(2025, 2, 8))
    assert not working.counts(date(2025, 2, 9))


def test_dates_alone_are_the_holidays():
    dates = (date(2026, 12, 24), date(2026, 12, 31))

    assert [
        day for day in days_of(2026) if CountedDays(Calendar("holidays", dates=dates)).counts(day)
    ] == [*dates]
    assert [
        day
        for day in days_of(2026)
        if not CountedDays(Calendar("not_holidays", dates=dates)).counts(day)
    ] == [*dates]


@pytest.mark.parametrize("kind", ["working", "holidays", "not_holidays"])
@pytest.mark.parametrize("country", ["DE", "IL", None])
def test_the_first_counted_day_is_the_first(kind, country):
    dates = (date(2026, 4, 4), date(2026, 12, 24), date(2026, 12, 28))
    days = CountedDays(Calendar(kind, country, dates=dates))
    for day in days_of(2026):
        found = days.first_from(day)
        if found is None:
            assert not any(days.counts(day + timedelta(days=n)) for n in range(400))
            continue
        assert days.counts(found)
        assert not any(days.counts(day + timedelta(days=n)) for n in range((found - day).days))


def test_a_far_date_is_found_and_what_lies_behind_all_days_is_not():
    holidays = CountedDays(Calendar("holidays", dates=(date(2080, 1, 1),)))

    assert holidays.first_from(date(2026, 1, 1)) == date(2080, 1, 1)
    assert holidays.first_from(date(2080, 1, 2)) is None
    assert CountedDays(Calendar("holidays", "DE")).first_from(date(9999, 12, 30)) is None


def test_every_country_has_a_year():
    from holidays.registry import COUNTRIES

    for _, code, *_others in COUNTRIES.values():
        assert check_country(code) is None
        year = country_year(code, None, 2026)
        assert len(year.off) < 200, code
        assert year.holidays <= set(days_of(2026))


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("de", '"DE"'),
        ("DEU", '"DE"'),
        ("Germany", '"DE"'),
        ("UK", '"GB"'),
        ("united states", '"US"'),
        ("Swizerland", '"CH"'),
        ("XX", "two-letter code"),
        ("", "two-letter code"),
    ],
)
def test_an_unknown_country_is_told_with_what_was_meant(code, hint):
    fault = check_country(code)

    assert fault is not None
    assert fault[0] == f'unknown country "{code}"'
    assert hint in fault[1]


@pytest.mark.parametrize(
    ("country", "name", "hint"),
    [
        ("DE", "Berlin", '"BE"'),
        ("DE", "DE-BY", '"BY"'),
        ("US", "ca", '"CA"'),
        ("FR", "QQQ", "there are"),
    ],
)
def test_an_unknown_subdivision_is_told_with_what_was_meant(country, name, hint):
    fault = check_subdivision(country, name)

    assert fault is not None
    assert hint in fault[1]
    assert check_subdivision("US", "CA") is None


def test_without_a_country_the_library_is_not_loaded():
    code = (
        "import sys; from datetime import date; from headrace.plan.calendars import CountedDays;"
        "from headrace.model.pipeline import Calendar;"
        "CountedDays(Calendar()).first_from(date(2026, 1, 1));"
        "print('holidays' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
