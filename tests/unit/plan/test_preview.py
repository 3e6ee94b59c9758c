"""The rows that `headrace cron` prints, with their notes about changes of the clocks."""

from datetime import UTC, datetime, timedelta

import pytest

from headrace.model.pipeline import Schedule
from headrace.plan.cron import CronError
from headrace.plan.upcoming_instants import preview, preview_cron

NEW_YORK, LORD_HOWE, CAIRO = "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"
SAO_PAULO = "America/Sao_Paulo"


def notes(expr: str, zone: str, after: str, count: int) -> list[tuple[str, str | None]]:
    rows = preview_cron(expr, zone, datetime.fromisoformat(after + ":00+00:00"), count)
    return [(f"{row.local:%m-%d %H:%M}{row.offset}", row.note) for row in rows]


def test_a_fixed_time_in_the_repeated_hour_fires_once_at_its_first_occurrence():
    assert notes("30 1 * * *", NEW_YORK, "2025-11-01T12:00", 2) == [
        (
            "11-02 01:30-04:00",
            "01:30 falls in the repeated hour: fires once, at its first occurrence",
        ),
        ("11-03 01:30-05:00", None),
    ]


def test_a_wildcard_in_the_repeated_hour_fires_at_both_occurrences():
    assert notes("30 * * * *", NEW_YORK, "2025-11-02T05:00", 3) == [
        (
            "11-02 01:30-04:00",
            "01:30 falls in the repeated hour: fires at both occurrences, this is the first",
        ),
        (
            "11-02 01:30-05:00",
            "01:30 falls in the repeated hour: fires at both occurrences, this is the second",
        ),
        ("11-02 02:30-05:00", None),
    ]


def test_a_fixed_time_in_the_gap_fires_once_right_after_it():
    assert notes("30 2 * * *", NEW_YORK, "2025-03-08T12:00", 2) == [
        (
            "03-09 03:00-04:00",
            "02:30 does not exist on 2025-03-09: fires once, right after the gap",
        ),
        ("03-10 02:30-04:00", None),
    ]


def test_several_fixed_times_in_the_gap_fire_once_together():
    assert notes("0,20,40 2 * * *", NEW_YORK, "2025-03-09T00:00", 2) == [
        (
            "03-09 03:00-04:00",
            "02:00 to 02:40 do not exist on 2025-03-09: fires once, right after the gap",
        ),
        ("03-10 02:00-04:00", None),
    ]


def test_a_wildcard_skips_the_times_that_do_not_exist():
    assert notes("*/30 1-2 * * *", NEW_YORK, "2025-03-09T06:00", 2) == [
        ("03-09 01:30-05:00", None),
        ("03-10 01:00-04:00", "02:00 to 02:30 do not exist on 2025-03-09: skipped"),
    ]


def test_only_the_instant_after_the_gap_has_a_note():
    assert [note for _, note in notes("30 2,5,8 * * *", NEW_YORK, "2025-03-09T00:00", 3)] == [
        "02:30 does not exist on 2025-03-09: fires once, right after the gap",
        None,
        None,
    ]


def test_midnight_that_does_not_exist_fires_when_the_day_begins():
    assert notes("0 0 * * *", SAO_PAULO, "2018-11-03T12:00", 1) == [
        ("11-04 01:00-02:00", "00:00 does not exist on 2018-11-04: fires once, right after the gap")
    ]
    assert notes("@daily", CAIRO, "2025-04-24T12:00", 1) == [
        ("04-25 01:00+03:00", "00:00 does not exist on 2025-04-25: fires once, right after the gap")
    ]


def test_a_shift_by_half_an_hour_is_called_so():
    assert notes("45 1 * * *", LORD_HOWE, "2025-04-05T03:00", 1) == [
        (
            "04-06 01:45+11:00",
            "01:45 falls in the repeated 30 minutes: fires once, at its first occurrence",
        )
    ]
    assert notes("15 2 * * *", LORD_HOWE, "2025-10-04T03:00", 1) == [
        ("10-05 02:30+11:00", "02:15 does not exist on 2025-10-05: fires once, right after the gap")
    ]


def test_a_row_tells_instant_local_time_and_offset_to_programs_and_people():
    row = preview_cron("0 6 * * *", "Europe/Berlin", datetime(2025, 7, 1, tzinfo=UTC), 1)[0]

    assert row.as_json() == {
        "instant": "2025-07-01T04:00:00Z",
        "local": "2025-07-01T06:00:00+02:00",
        "offset": "+02:00",
        "note": None,
    }
    assert str(row) == "2025-07-01 04:00:00Z  Tue 2025-07-01 06:00:00 +02:00"


def test_intervals_have_rows_without_notes():
    after = datetime(2025, 11, 2, 5, tzinfo=UTC)
    rows = preview(Schedule(interval_s=3600, timezone=NEW_YORK), after, 3)

    assert [row.instant - after for row in rows] == [timedelta(hours=n) for n in (1, 2, 3)]
    assert [row.note for row in rows] == [None] * 3


def test_a_bad_expression_is_refused():
    with pytest.raises(CronError, match="not five"):
        preview_cron("* *", "UTC", datetime(2025, 1, 1, tzinfo=UTC), 1)
