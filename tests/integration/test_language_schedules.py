"""A scheduler that was paused does exactly what `catchup` and its companions say."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.engine.operations.backfill import backfill
from headrace.engine.scheduling.scheduler import Scheduler
from tests.support.by_hand import ByHand, by_hand

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
PIPELINE = "name: due\nschedule: {schedule}\nsteps:\n  - {{id: only, job: FailedJob}}\n"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


def paused(hand: ByHand, schedule: str, *pauses: timedelta) -> tuple[list[datetime], int]:
    """Return the logical dates of the runs that follow pauses, and how many were skipped."""
    hand.declare(PIPELINE.format(schedule=schedule))
    headrace = hand.headrace
    database = headrace.database
    scheduler = Scheduler(database, headrace.dispatcher, headrace.pipelines, headrace.planner)
    leader = database.row("acquire_lease", holder="test", lease_s=60)
    assert leader is not None
    now = START
    scheduler.refresh(now)
    for pause in pauses:
        now += pause
        while (due := scheduler.next_due()) is not None and due <= now:
            scheduler.tick(now, leader["term"])
    runs = database.rows("runs", before=None, status=None, pipeline="due", limit=5000)
    (row,) = database.rows("schedules")
    return sorted(run["logical_date"] for run in runs), row["skipped"]


def at(hour: int, minute: int, day: int = 1) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("catchup", "pause", "expected", "skipped"),
    [
        ("none", HOUR, [at(13, 0)], 3),
        ("none", HOUR + timedelta(minutes=5), [], 4),
        ("none, start_deadline: 10m", HOUR + timedelta(minutes=5), [at(13, 0)], 3),
        ("latest", HOUR + timedelta(minutes=5), [at(13, 0)], 3),
        ("latest, catchup_window: 2m", HOUR + timedelta(minutes=5), [], 4),
        ("all", HOUR, [at(12, 15), at(12, 30), at(12, 45), at(13, 0)], 0),
        ("all, catchup_window: 40m", HOUR, [at(12, 30), at(12, 45), at(13, 0)], 1),
        ("all, start_deadline: 20m", HOUR, [at(12, 45), at(13, 0)], 2),
    ],
)
def test_a_paused_scheduler_does_what_catchup_says(
    hand: ByHand, catchup: str, pause: timedelta, expected: list[datetime], skipped: int
) -> None:
    found = paused(hand, f"{{interval: 15m, catchup: {catchup}}}", pause)

    assert found == (expected, skipped)


def test_after_more_instants_than_one_tick_looks_at_none_is_lost_and_none_is_doubled(
    hand: ByHand,
) -> None:
    dates, skipped = paused(hand, "{interval: 1m, catchup: all}", timedelta(hours=40))

    assert dates == [START.replace(second=0) + timedelta(minutes=n) for n in range(1, 2401)]
    assert skipped == 0


def test_what_another_schedule_skips_meanwhile_is_counted_once(hand: ByHand) -> None:
    schedule = "[{interval: 1m, catchup: all}, {interval: 150s, catchup: none}]"

    dates, skipped = paused(hand, schedule, timedelta(hours=40))

    assert dates == [START.replace(second=0) + timedelta(minutes=n) for n in range(1, 2401)]
    # Every other one of its instants is the other schedule's, too.
    assert skipped == 480


def test_latest_is_the_latest_after_more_instants_than_one_tick_looks_at(hand: ByHand) -> None:
    dates, _ = paused(hand, "{interval: 1m, catchup: latest}", timedelta(hours=40))

    assert dates == [START.replace(second=0) + timedelta(hours=40)]


def test_start_and_end_bound_a_schedule(hand: ByHand) -> None:
    schedule = "{interval: 20m, start: 2026-03-01T12:10, end: 2026-03-01T13:10, catchup: all}"

    assert paused(hand, schedule, 3 * HOUR) == ([at(12, 10), at(12, 30), at(12, 50)], 0)


def test_several_schedules_share_an_instant_and_its_run(hand: ByHand) -> None:
    schedule = "[{interval: 30m, catchup: all}, {cron: '0 * * * *', catchup: all}, '15 13 * * *']"

    dates, skipped = paused(hand, schedule, HOUR, HOUR)

    assert dates == [at(12, 30), at(13, 0), at(13, 15), at(13, 30), at(14, 0)]
    assert skipped == 0


def test_jitter_delays_the_run_and_not_its_logical_date(hand: ByHand) -> None:
    schedule = "{interval: 1h, jitter: 30m}"

    # The start of 12:00 still lay ahead when the pipeline was seen first; that of 13:00 is later.
    dates, _ = paused(hand, schedule, HOUR - timedelta(seconds=30))
    assert dates == [at(12, 0)]
    dates, _ = paused(hand, schedule, HOUR + timedelta(minutes=30))
    assert dates == [at(12, 0), at(13, 0)]


def test_a_backfilled_run_is_on_the_clock_of_its_own_schedule(hand: ByHand) -> None:
    hand.declare(
        """
name: two_zones
params: {day: {type: date, default: "{{ run.logical_date }}"}}
schedule:
  - {cron: "0 12 * * *", timezone: UTC}
  - {cron: "0 6 * * *", timezone: Asia/Tokyo}
steps:
  - {id: only, job: RunSql, with: {sql: select 1}}
"""
    )
    start = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)

    rows = backfill(hand.headrace, "two_zones", start, start + timedelta(hours=23))

    days = {row["logical_date"].hour: row["params"]["day"] for row in rows}
    assert days == {12: "2026-03-01", 21: "2026-03-02"}
