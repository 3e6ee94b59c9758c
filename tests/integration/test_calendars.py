"""Scheduler, catch-up, backfill and the command line agree about the days of a calendar."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.engine.operations.backfill import backfill, bounds
from headrace.engine.scheduling.scheduler import Scheduler
from tests.support.by_hand import ByHand, by_hand
from tests.support.cli import Headrace

PIPELINE = """\
name: bank
schedule:
  cron: "0 6 * * *"
  timezone: Europe/Berlin
  catchup: {catchup}
  calendar: {{country: DE, subdivision: BE, file: closed.txt}}
steps:
  - {{id: only, job: Fibonacci, with: {{n: 3}}}}
"""
BEFORE = datetime(2025, 12, 22, 12, tzinfo=UTC)
# Christmas Eve and New Year's Eve are in the file, the 25th, 26th and the 1st are holidays, the
# 27th and 28th are a weekend.
WORKING = [datetime(2025, 12, day, 5, tzinfo=UTC) for day in (23, 29, 30)]
AFTER = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        made.declare(PIPELINE.format(catchup="all"))
        (tmp_path / "pipelines" / "closed.txt").write_text("2025-12-24\n2025-12-31\n")
        yield made


def scheduler_of(hand: ByHand) -> tuple[Scheduler, int]:
    headrace = hand.headrace
    leader = headrace.database.row("acquire_lease", holder="test", lease_s=60)
    assert leader is not None
    made = Scheduler(headrace.database, headrace.dispatcher, headrace.pipelines, headrace.planner)
    return made, leader["term"]


def dates(hand: ByHand) -> list[datetime]:
    rows = hand.headrace.database.rows("runs", before=None, status=None, pipeline="bank", limit=100)
    return sorted(row["logical_date"] for row in rows)


@pytest.mark.parametrize(
    ("catchup", "expected", "skipped"),
    [("all", WORKING, 0), ("latest", WORKING[-1:], 2), ("none", [], 3)],
)
def test_holidays_are_neither_caught_up_nor_counted_as_missed(
    hand: ByHand, catchup: str, expected: list[datetime], skipped: int
) -> None:
    hand.declare(PIPELINE.format(catchup=catchup))
    scheduler, term = scheduler_of(hand)
    scheduler.refresh(BEFORE)
    assert scheduler.next_due() == WORKING[0]

    scheduler.tick(AFTER, term)

    assert dates(hand) == expected
    (row,) = hand.headrace.database.rows("schedules")
    assert row["skipped"] == skipped
    assert row["next_instant"] == scheduler.next_due() == datetime(2026, 1, 2, 5, tzinfo=UTC)


def test_a_scheduler_that_is_up_starts_nothing_on_a_holiday(hand: ByHand) -> None:
    scheduler, term = scheduler_of(hand)
    now = BEFORE
    scheduler.refresh(now)
    while now < AFTER:
        now += timedelta(hours=1)
        scheduler.tick(now, term)

    assert dates(hand) == WORKING


def test_a_backfill_over_a_holiday_week_makes_no_run_for_it(hand: ByHand) -> None:
    headrace = hand.headrace
    pipeline = headrace.pipelines.get("bank")
    week = bounds(pipeline, "2025-12-24", "2025-12-28")
    fortnight = bounds(pipeline, "2025-12-22", "2026-01-01")

    assert backfill(headrace, "bank", *week) == []
    rows = backfill(headrace, "bank", *fortnight)

    monday = datetime(2025, 12, 22, 5, tzinfo=UTC)
    assert [row["logical_date"] for row in rows] == [monday, *WORKING] == dates(hand)
    assert backfill(headrace, "bank", *fortnight) == []


def test_an_edited_calendar_moves_what_is_due(hand: ByHand) -> None:
    headrace = hand.headrace
    scheduler, term = scheduler_of(hand)
    scheduler.refresh(BEFORE)
    closed = headrace.settings.pipelines / "closed.txt"

    closed.write_text("2025-12-23\n2025-12-31\n")
    assert headrace.pipelines.refresh()
    scheduler.refresh(BEFORE)
    scheduler.tick(AFTER, term)

    assert [at.day for at in dates(hand)] == [24, 29, 30]


def test_every_command_shows_the_same_next_instant(
    hand: ByHand, database: str, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "pipelines" / "closed.txt").write_text("1999-12-31\n")
    headrace = Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})
    cron = ("cron", "0 6 * * *", "--timezone", "Europe/Berlin", "-n", "5", "--json")

    planned = headrace("plan", "bank", "--json").json["next_instants"]
    by_cron = headrace(*cron, "--country", "DE", "--subdivision", "BE").json["items"]
    (listed,) = headrace("schedules", "--json").json["items"]

    # One may have passed between two commands.
    assert all(row in by_cron for row in planned[1:])
    assert datetime.fromisoformat(listed["next_instant"]) in [
        datetime.fromisoformat(row["instant"]) for row in planned
    ]
    assert listed["schedule"] == ["0 6 * * * Europe/Berlin, working days of DE-BE except 1 date"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("../closd.txt", 'did you mean "../closed.txt"?'),
        ("../_bank_dys.yaml", 'did you mean "../_bank_days.yaml"?'),
        ("nothing.txt", "it is searched in the pipeline's folder, then in the pipelines folder"),
    ],
)
def test_a_misspelt_calendar_file_is_told_with_the_one_beside_it(
    tmp_path: Path, name: str, hint: str
) -> None:
    pipelines = tmp_path / "pipelines"
    (pipelines / "finance").mkdir(parents=True)
    (pipelines / "closed.txt").write_text("2025-12-24\n")
    (pipelines / "_bank_days.yaml").write_text("- 2025-12-24\n")
    (pipelines / "bank.yaml").write_text("name: bank\nsteps: [{id: a, job: FailedJob}]\n")
    (pipelines / "finance/ledger.yaml").write_text(
        f'name: ledger\nschedule: {{cron: "@daily", calendar: {{file: {name}}}}}\n'
        "steps: [{id: a, job: FailedJob}]\n"
    )

    told = Headrace(tmp_path, {})("validate")

    assert told.code == 1
    assert f'there is no calendar file "{name}" [missing-file]\n  hint: {hint}\n' in told.out


def test_a_schedule_that_has_nothing_left_is_said_to_be_over(
    hand: ByHand, database: str, redis_url: str, tmp_path: Path
) -> None:
    hand.declare(
        "name: bank\n"
        "schedule: {cron: '0 6 * * *', calendar: {days: holidays, dates: [2020-12-24]}}\n"
        "steps:\n  - {id: only, job: Fibonacci, with: {n: 3}}\n"
    )
    headrace = Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})
    scheduler, term = scheduler_of(hand)
    scheduler.refresh(BEFORE)

    assert scheduler.next_due() is None
    assert scheduler.tick(AFTER, term) == 0
    assert "next: nothing is due in the future, starts manually" in headrace("plan", "bank").out
    assert "no more" in headrace("schedules").out
    assert hand.run("bank")["status"] == "completed"
