"""Tables, spans of time and moments as the command line shows and reads them."""

import time
from datetime import UTC, datetime

import pytest

from headrace.cli.printing import clock, moment, params_of, span, table
from headrace.errors import InvalidParams

FIRST = datetime(1, 1, 1, tzinfo=UTC)


def test_columns_are_aligned_and_nothing_is_a_dash():
    assert table([("a", None), ("long name", 3)], ("NAME", "N")) == [
        "NAME       N",
        "a          -",
        "long name  3",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4242, "0.42 s"),
        (9.994, "9.99 s"),
        (10, "10 s"),
        (42.4, "42 s"),
        (59.4, "59 s"),
        (59.5, "1m 00s"),
        (60, "1m 00s"),
        (185, "3m 05s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (7500, "2h 05m"),
        (86_399, "23h 59m"),
        (86_400, "1d 00h"),
        (187_200, "2d 04h"),
    ],
)
def test_a_span_is_shown_in_its_largest_units(seconds: float, shown: str):
    assert span(seconds) == shown


def test_a_moment_without_offset_is_on_the_given_zones_clock():
    berlin = "Europe/Berlin"
    assert moment("2026-07-01", "--from", berlin) == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert moment("2026-07-01T00:00Z", "--from", berlin) == datetime(2026, 7, 1, tzinfo=UTC)


def test_a_moment_that_is_none_is_refused_with_an_example():
    with pytest.raises(InvalidParams, match=r"--from takes a date or a time, as in 2026-01-31"):
        moment("tomorrow", "--from", "UTC")


def test_a_parameters_value_may_hold_equals_signs():
    assert params_of(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(InvalidParams, match="NAME=VALUE"):
        params_of(["a"])


@pytest.mark.parametrize(
    ("zone", "at", "shown"),
    [
        ("UTC", datetime(9999, 12, 31, 23, tzinfo=UTC), "9999-12-31 23:00:00"),
        ("Asia/Tokyo", datetime(9999, 12, 31, 23, tzinfo=UTC), "9999-12-31 23:00:00 UTC"),
        ("Asia/Tokyo", datetime(2026, 1, 31, 23, tzinfo=UTC), "2026-02-01 08:00:00"),
        ("America/Lima", FIRST, f"{FIRST:%Y}-01-01 00:00:00 UTC"),
    ],
)
def test_a_time_that_this_machine_s_clock_does_not_have_is_shown_as_it_is_stored(
    monkeypatch: pytest.MonkeyPatch, zone: str, at: datetime, shown: str
) -> None:
    with monkeypatch.context() as there:
        there.setenv("TZ", zone)
        time.tzset()
        told = clock(at)
    time.tzset()

    assert told == shown
