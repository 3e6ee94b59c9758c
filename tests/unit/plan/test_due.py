"""When runs are due and what becomes of missed instants."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from headrace.model.pipeline import Schedule
from headrace.plan.due import (
    catch_up,
    due_between,
    jitter_offset_s,
    last_between,
    next_instants,
    start_time,
)

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def ago(*minutes: float) -> list[datetime]:
    return [NOON - n * MINUTE for n in minutes]


def test_a_cron_schedule_gives_its_next_instants_in_utc():
    schedule = Schedule(cron="0 6 * * *", timezone="Europe/Berlin")

    assert next_instants(schedule, NOON, 2) == [
        datetime(2025, 3, 2, 5, tzinfo=UTC),
        datetime(2025, 3, 3, 5, tzinfo=UTC),
    ]


def test_an_instant_is_due_after_the_last_look_and_up_to_now():
    schedule = Schedule(cron="0 * * * *")

    assert due_between(schedule, NOON - 60 * MINUTE, NOON) == [NOON]
    assert due_between(schedule, NOON, NOON + 59 * MINUTE) == []
    assert len(due_between(schedule, NOON, NOON + DAY)) == 24
    assert len(due_between(schedule, NOON, NOON + DAY, limit=5)) == 5


def test_looking_often_and_looking_once_find_the_same_instants():
    schedule = Schedule(cron="*/7 1-3 * * *", timezone="Europe/London")
    start, end = datetime(2025, 10, 25, tzinfo=UTC), datetime(2025, 10, 27, tzinfo=UTC)
    often = []
    at = start
    while at < end:
        often += due_between(schedule, at, at + 5 * MINUTE)
        at += 5 * MINUTE

    assert often == due_between(schedule, start, end)


@pytest.mark.parametrize("limit", [0, 1, 7, 1000])
@pytest.mark.parametrize("cron", ["*/10 * * * *", "0 6 * * *", "0 0 1 * *"])
def test_the_last_instants_are_the_end_of_all(cron, limit):
    schedule = Schedule(cron=cron, timezone="Europe/London")
    everything = due_between(schedule, NOON - 90 * DAY, NOON)

    last = last_between(schedule, NOON - 90 * DAY, NOON, limit)

    assert last == everything[max(0, len(everything) - limit) :]


def test_the_last_instant_of_a_pause_of_years_is_found_from_behind():
    assert last_between(Schedule(cron="* * * * *"), NOON - 3650 * DAY, NOON, 1) == [NOON]


def test_intervals_are_multiples_counted_from_the_epoch():
    assert next_instants(Schedule(interval_s=900), NOON + 3 * MINUTE, 2) == [
        NOON + 15 * MINUTE,
        NOON + 30 * MINUTE,
    ]


def test_intervals_count_from_the_start_where_there_is_one():
    schedule = Schedule(interval_s=7 * 60, start=NOON + 2 * MINUTE)

    assert next_instants(schedule, NOON - DAY, 2) == [NOON + 2 * MINUTE, NOON + 9 * MINUTE]
    assert next_instants(schedule, NOON + 9 * MINUTE, 1) == [NOON + 16 * MINUTE]


def test_a_fractional_interval_does_not_drift():
    instants = next_instants(Schedule(interval_s=0.1), NOON, 36_000)

    assert instants[-1] == NOON + timedelta(hours=1)


def test_the_start_belongs_to_the_schedule_and_the_end_does_not():
    schedule = Schedule(cron="0 12 * * *", start=NOON, end=NOON + 2 * DAY)

    assert next_instants(schedule, NOON - 9 * DAY, 9) == [NOON, NOON + DAY]


@pytest.mark.parametrize(
    "schedule",
    [Schedule(), Schedule(cron="* * * * *", interval_s=5), Schedule(interval_s=0)],
)
def test_a_schedule_is_a_cron_expression_or_a_positive_interval(schedule):
    with pytest.raises(ValueError, match=r"either cron or interval|longer than 0 s"):
        next_instants(schedule, NOON, 1)


def test_catch_up_none_fires_only_what_is_on_time():
    assert catch_up("none", ago(120, 60, 0.5), NOON) == (ago(0.5), ago(120, 60))
    assert catch_up("none", ago(120, 60), NOON) == ([], ago(120, 60))


def test_catch_up_none_takes_the_start_deadline_for_on_time():
    assert catch_up("none", ago(20, 5), NOON, start_deadline_s=600) == (ago(5), ago(20))
    assert catch_up("none", ago(20), NOON, start_deadline_s=600) == ([], ago(20))


def test_catch_up_latest_fires_the_last_missed_instant_however_old():
    assert catch_up("latest", ago(9999, 5000), NOON) == (ago(5000), ago(9999))


def test_catch_up_all_fires_every_missed_instant_in_order():
    assert catch_up("all", ago(1, 3, 2), NOON) == (ago(3, 2, 1), [])


@pytest.mark.parametrize("policy", ["latest", "all"])
def test_no_policy_reaches_back_beyond_the_window(policy):
    assert catch_up(policy, ago(61), NOON, window_s=3600) == ([], ago(61))
    assert catch_up(policy, ago(60), NOON, window_s=3600) == (ago(60), [])


def test_the_narrower_of_window_and_deadline_counts():
    decided = catch_up("all", ago(30, 20, 10), NOON, window_s=7200, start_deadline_s=1200)

    assert decided == (ago(20, 10), ago(30))


def test_nothing_due_needs_no_decision():
    assert catch_up("all", [], NOON) == ([], [])


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="none, latest or all"):
        catch_up("some", ago(1), NOON)


@pytest.mark.parametrize("policy", ["none", "latest", "all"])
def test_every_due_instant_is_either_fired_or_skipped(policy):
    due = due_between(Schedule(cron="*/5 * * * *"), NOON - DAY, NOON)

    fire, skipped = catch_up(policy, due, NOON, window_s=7200)

    assert sorted(fire + skipped) == due
    assert len(fire) == {"none": 1, "latest": 1, "all": 25}[policy]


def test_jitter_is_the_same_for_a_name_and_spread_over_names():
    offsets = [jitter_offset_s(f"pipeline_{n}", 30.0) for n in range(1000)]

    assert offsets == [jitter_offset_s(f"pipeline_{n}", 30.0) for n in range(1000)]
    assert 0 <= min(offsets) < 1
    assert 29 < max(offsets) < 30
    assert 14 < sum(offsets) / len(offsets) < 16
    assert jitter_offset_s("nightly", 30.0) == pytest.approx(4.949059560254443)


def test_a_run_starts_behind_its_instant_by_the_jitter():
    schedule = Schedule(cron="0 12 * * *", jitter_s=30.0)

    assert start_time(schedule, "a", NOON) - NOON == timedelta(seconds=jitter_offset_s("a", 30.0))
    assert start_time(Schedule(cron="0 12 * * *"), "a", NOON) == NOON


def test_times_of_other_zones_are_understood():
    berlin = NOON.astimezone(ZoneInfo("Europe/Berlin"))

    assert next_instants(Schedule(interval_s=3600), berlin, 1) == [NOON + 60 * MINUTE]
