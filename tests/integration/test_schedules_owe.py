"""What a schedule owes, by PostgreSQL's clock, and what a pause or a removed file holds back."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.catalog.active_definitions import InForce
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.catalog.repeat_command import line_for
from headrace.engine.gating.run_completion import release
from headrace.engine.planning.planner import Planner
from headrace.engine.scheduling.scheduler import Scheduler
from headrace.errors import LeadershipLost
from headrace.model.status import Trigger
from tests.support.by_hand import ByHand, by_hand

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
PIPELINE = "name: due\nschedule: {schedule}\nsteps:\n  - {{id: only, job: FailedJob}}\n"
EVERY_15 = "{interval: 15m, catchup: all}"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


class Daemon:
    """A leading daemon's schedules, by a clock that the test sets."""

    def __init__(self, hand: ByHand) -> None:
        self.hand, self.headrace = hand, hand.headrace
        self.start()
        leader = self.headrace.database.row("acquire_lease", holder="test", lease_s=60)
        assert leader is not None
        self.term = leader["term"]

    def start(self) -> None:
        headrace = self.headrace
        self.scheduler = Scheduler(
            headrace.database, headrace.dispatcher, headrace.pipelines, headrace.planner
        )

    def declare(self, now: datetime, schedule: str | None) -> None:
        """Write the file, or remove it, and have the daemon see that."""
        if schedule is None:
            (self.headrace.settings.pipelines / "pipeline.yaml").unlink()
        else:
            self.hand.declare(PIPELINE.format(schedule=schedule))
        self.headrace.pipelines.refresh()
        self.scheduler.refresh(now)

    def tick(self, now: datetime) -> int:
        return self.scheduler.tick(now, self.term)

    def row(self) -> dict[str, Any]:
        (row,) = self.headrace.database.rows("schedules")
        return dict(row)

    def dates(self) -> list[datetime]:
        rows = self.headrace.database.rows(
            "runs", before=None, status=None, pipeline="due", limit=5000
        )
        return sorted(row["logical_date"] for row in rows)


@pytest.fixture
def daemon(hand: ByHand) -> Daemon:
    return Daemon(hand)


@pytest.mark.parametrize(
    "edited", ["{interval: 1m, catchup: all}", "{cron: '55 11 * * *', timezone: Etc/GMT-1}"]
)
def test_an_edited_schedule_owes_nothing_from_before_the_edit(
    daemon: Daemon, edited: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    daemon.declare(NOON, EVERY_15)
    daemon.start()  # It was down for an hour, during which the file was edited.
    daemon.declare(NOON + HOUR, edited)

    assert daemon.tick(NOON + HOUR) == 0
    assert daemon.dates() == []
    told = "due: its schedule is new or was changed; earlier instants are not caught up"
    assert [line for line in caplog.messages if line.startswith("due: ")] == [told]


def test_a_restart_without_an_edit_owes_what_fell_due(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    daemon.declare(NOON, EVERY_15)
    daemon.start()
    daemon.declare(NOON + HOUR, "{interval: 15m, catchup: all, catchup_window: 1d}")

    assert daemon.tick(NOON + HOUR) == 4
    runs = daemon.headrace.database.rows("runs", before=None, status=None, pipeline="due", limit=9)
    terms = {daemon.headrace.database.row("run", id=run["id"])["term"] for run in runs}  # type: ignore[index]
    assert terms == {daemon.term}
    starts = [line.partition(" of ")[2] for line in caplog.messages if line.startswith("run ")]
    assert starts == [
        f"due started (due 2026-03-01T{at}:00+00:00)" for at in ("12:15", "12:30", "12:45", "13:00")
    ]


@pytest.mark.parametrize(
    ("default", "words"),
    [
        ("{{ 10 // (run.logical_date.year - 2000) }}", "ZeroDivisionError"),
        # A character that cannot be stored would have kept all runs that are due from being so.
        (r'{{ 1 if run.logical_date.year < 2000 else "\0" }}', "cannot be stored"),
        (r'{{ 1 if run.logical_date.year < 2000 else "\ud800" }}', "cannot be stored"),
    ],
)
def test_a_run_that_cannot_be_planned_is_told_and_the_others_start(
    daemon: Daemon, caplog: pytest.LogCaptureFixture, default: str, words: str
) -> None:
    before = datetime(1999, 12, 31, 23, 40, tzinfo=UTC)
    daemon.hand.declare(
        f"{PIPELINE.format(schedule=EVERY_15)}params: {{n: {{default: '{default}'}}}}\n"
    )
    daemon.headrace.pipelines.refresh()
    daemon.scheduler.refresh(before)

    assert daemon.tick(before + HOUR / 2) == 1
    assert daemon.dates() == [before + HOUR / 12]
    (told,) = [line for line in caplog.messages if "cannot start" in line]
    assert told.startswith("due: the run due 2000-01-01T00:00:00+00:00 cannot start: ")
    assert words in told
    assert daemon.row()["seen_until"] == before + HOUR / 2, "it is not tried again"
    assert daemon.tick(before + HOUR / 2) == 0


def test_a_leader_whose_term_is_over_starts_nothing_and_marks_nothing_as_processed(
    daemon: Daemon,
) -> None:
    daemon.declare(NOON, EVERY_15)
    for schedule, now in ((EVERY_15, NOON + HOUR), ("{interval: 15m}", NOON + HOUR + HOUR / 12)):
        daemon.declare(NOON, schedule)
        with pytest.raises(LeadershipLost, match=r"^term 7777 is over$"):
            daemon.scheduler.tick(now, 7777)
        assert daemon.dates() == []
        assert daemon.row()["seen_until"] == NOON
        assert daemon.row()["skipped"] == 0


def test_a_pipeline_that_is_gone_when_it_is_due_starts_nothing(daemon: Daemon) -> None:
    daemon.declare(NOON, EVERY_15)
    (daemon.headrace.settings.pipelines / "pipeline.yaml").unlink()
    daemon.headrace.pipelines.refresh()

    assert daemon.tick(NOON + HOUR) == 0
    assert daemon.dates() == []
    row = daemon.row()
    assert (row["seen_until"], row["next_instant"], row["skipped"]) == (NOON + HOUR, None, 0)
    assert not daemon.scheduler.is_due(NOON + 2 * HOUR)


def test_a_restored_file_owes_nothing_from_the_time_without_it(daemon: Daemon) -> None:
    daemon.declare(NOON, EVERY_15)
    daemon.declare(NOON + timedelta(minutes=1), None)
    daemon.declare(NOON + HOUR, EVERY_15)

    assert daemon.tick(NOON + HOUR) == 0
    assert daemon.tick(NOON + HOUR + timedelta(minutes=15)) == 1


def test_a_schedule_that_was_seen_by_a_clock_ahead_goes_on_from_now(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.declare(NOON, EVERY_15)
    assert daemon.tick(NOON + 3 * HOUR) == 12
    daemon.start()
    daemon.declare(NOON, EVERY_15)

    assert "which is in the future" in caplog.text
    assert daemon.row()["seen_until"] == NOON
    assert daemon.row()["next_instant"] == NOON + timedelta(minutes=14, seconds=30)
    assert daemon.tick(NOON + 4 * HOUR) == 4, "those that already had their run get no second one"
    assert len(daemon.dates()) == len(set(daemon.dates())) == 16
    assert daemon.row()["skipped"] == 0


def test_a_clock_that_is_set_back_leaves_no_schedule_standing_still(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.declare(NOON, EVERY_15)
    daemon.tick(NOON + HOUR)

    assert daemon.tick(NOON - 2 * HOUR) == 0
    assert "which is in the future" in caplog.text
    assert daemon.tick(NOON - HOUR) == 4


def queue_runs(hand: ByHand, count: int) -> None:
    hand.declare(
        "name: line\nconcurrency: {limit: 1}\nsteps:\n"
        "  - {id: only, job: RunSql, with: {sql: select 1}}\n"
    )
    for _ in range(count):
        hand.headrace.start_run("line", {})


def statuses(hand: ByHand) -> list[str]:
    rows = hand.headrace.database.rows("runs", before=None, status=None, pipeline="line", limit=100)
    return sorted(row["status"] for row in rows)


def sweep(hand: ByHand) -> None:
    """Do what a daemon does every few seconds."""
    database = hand.headrace.database
    release(database, [row["name"] for row in database.rows("groups_with_queued_runs")])


def test_queued_runs_of_a_paused_pipeline_wait_until_it_is_resumed(hand: ByHand) -> None:
    queue_runs(hand, 3)
    assert hand.headrace.interventions.pause("line") == (2, [])

    hand.work()
    sweep(hand)
    assert hand.work() == []
    assert statuses(hand) == ["completed", "queued", "queued"]

    hand.headrace.interventions.resume("line")
    hand.work()
    assert statuses(hand) == ["completed"] * 3


def test_a_pause_can_cancel_what_is_queued(hand: ByHand) -> None:
    queue_runs(hand, 3)

    queued, cancelled = hand.headrace.interventions.pause("line", cancel_queued=True)
    assert (queued, len(cancelled)) == (2, 2)
    assert statuses(hand) == ["cancelled", "cancelled", "running"]


def test_queued_runs_of_a_removed_file_wait_until_it_is_back(hand: ByHand) -> None:
    queue_runs(hand, 2)
    headrace = hand.headrace
    leader = headrace.database.row("acquire_lease", holder="test", lease_s=60)
    assert leader is not None
    in_force = InForce(headrace.database)
    in_force.keep(headrace.pipelines.by_name, leader["term"])
    in_force.keep({}, leader["term"])

    hand.work()
    sweep(hand)
    assert statuses(hand) == ["completed", "queued"]

    in_force.keep(headrace.pipelines.by_name, leader["term"])
    sweep(hand)
    hand.work()
    assert statuses(hand) == ["completed", "completed"]


def test_a_new_leader_keeps_the_last_good_version_of_a_broken_file(hand: ByHand) -> None:
    hand.declare(PIPELINE.format(schedule=EVERY_15))
    headrace = hand.headrace
    leader = headrace.database.row("acquire_lease", holder="test", lease_s=60)
    assert leader is not None
    InForce(headrace.database).keep(headrace.pipelines.by_name, leader["term"])
    hand.declare("name: due\nsteps: [}\n")

    after = Pipelines(headrace.settings, headrace.registry)
    headrace.pipelines = after  # As of a process that has not seen the good file.
    assert after.by_name == {}
    assert headrace.keep_last_good() == ["due"]
    assert after.staying == {"due"}
    assert [one.interval_s for one in after.get("due").schedules] == [900.0]
    after.refresh()
    assert "due" in after.by_name

    hand.declare(PIPELINE.format(schedule="{interval: 1h}"))
    after.refresh()
    assert [one.interval_s for one in after.get("due").schedules] == [3600.0]
    assert after.staying == set()


EFFECT = "tests.support.jobs_effects.EffectJob"
CALENDAR = "{interval: 15m, catchup: all, calendar: {days: holidays, file: days.txt}}"


def keep_and_lead(hand: ByHand) -> None:
    """Have a leader keep what is in force, and its schedules."""
    headrace = hand.headrace
    leader = headrace.database.row("acquire_lease", holder="test", lease_s=60)
    assert leader is not None
    pipelines = headrace.pipelines
    InForce(headrace.database).keep(pipelines.by_name, leader["term"], pipelines.held)
    Daemon(hand).scheduler.refresh(NOON)


def start_anew(hand: ByHand, *, without_classes: bool = False) -> Pipelines:
    """Have a process that has seen the files only as they are now, and not the tests' classes."""
    headrace = hand.headrace
    headrace.registry = Registry("headrace.jobs", packages=() if without_classes else ("tests",))
    headrace.pipelines = Pipelines(headrace.settings, headrace.registry)
    return headrace.pipelines


@pytest.mark.parametrize("broken", ["_defaults.yaml", "days.txt", "class"])
def test_a_new_leader_keeps_the_last_good_version_where_what_it_is_read_with_is_broken(
    hand: ByHand, broken: str
) -> None:
    folder = hand.headrace.settings.pipelines
    folder.mkdir(exist_ok=True)
    (folder / "_defaults.yaml").write_text("timeout: 77s\n")
    (folder / "days.txt").write_text("2026-03-01\n")
    text = PIPELINE.format(schedule=CALENDAR)
    hand.declare(text.replace("FailedJob", EFFECT) if broken == "class" else text)
    keep_and_lead(hand)
    before = hand.headrace.pipelines.get("due")
    if broken != "class":
        (folder / broken).write_text("][\n")

    after = start_anew(hand, without_classes=broken == "class")
    assert after.by_name == {}
    assert hand.headrace.keep_last_good() == ["due"]

    assert after.get("due") == before
    assert after.staying == {"due"}
    assert after.problems_of("due") != []
    keep_and_lead(hand)
    (row,) = hand.headrace.database.rows("schedules")
    assert row["declared"] != ""
    assert row["next_instant"] is not None
    planner = Planner(hand.headrace.settings, after, hand.headrace.registry)
    plan = planner.plan(after.get("due"), {}, NOON, Trigger.SCHEDULE)
    assert [job.timeout_s for job in plan.jobs] == [77.0]


def test_a_broken_pipeline_that_cannot_be_restored_keeps_its_row_and_what_it_owes(
    hand: ByHand,
) -> None:
    folder = hand.headrace.settings.pipelines
    hand.declare(PIPELINE.format(schedule=EVERY_15))
    keep_and_lead(hand)
    database = hand.headrace.database
    with database.transaction() as tx:
        # As an earlier version has kept it.
        tx.connection.exec_driver_sql("UPDATE headrace.pipeline SET built = NULL")
    (folder / "_defaults.yaml").write_text("timeout: [\n")

    after = start_anew(hand)
    assert hand.headrace.keep_last_good() == []
    assert "_defaults.yaml" in after.held["due"]
    keep_and_lead(hand)
    (row,) = database.rows("schedules")
    assert row["declared"] != ""

    (folder / "_defaults.yaml").unlink()
    after.refresh()
    assert after.held == {}
    assert "due" in after.by_name


def test_a_removed_file_is_gone_although_another_one_of_its_name_is_broken(hand: ByHand) -> None:
    folder = hand.headrace.settings.pipelines
    hand.declare(PIPELINE.format(schedule=EVERY_15))
    keep_and_lead(hand)
    (folder / "below").mkdir()
    (folder / "pipeline.yaml").rename(folder / "below" / "pipeline.yaml")
    (folder / "below" / "pipeline.yaml").write_text("steps: [}\n")

    after = start_anew(hand)
    assert hand.headrace.keep_last_good() == []
    assert after.held == {}


def test_the_line_that_runs_the_present_plan_has_the_runs_date_and_what_it_was_given(
    hand: ByHand,
) -> None:
    hand.declare(
        'name: zoned\nschedule: {cron: "0 0 * * *", timezone: Europe/Berlin}\n'
        "params: {n: {type: integer, default: 1}, text: {type: string, default: a}}\n"
        "steps:\n  - {id: only, job: FailedJob}\n"
    )
    run = hand.headrace.start_run("zoned", {"n": 2, "text": "a b"}, logical_date="2026-07-01")

    line = line_for(hand.headrace.pipelines, run)

    assert line == (
        "headrace run zoned --logical-date 2026-07-01T00:00:00+02:00 -p n=2 -p 'text=a b'"
    )


def test_a_trigger_that_was_seen_by_a_clock_ahead_counts_from_now(hand: ByHand) -> None:
    database = hand.headrace.database
    pair = [{"pipeline": "after", "upstream": "due", "statuses": ["completed"]}]
    database.rows("sync_triggers", triggers=json.dumps(pair))
    with database.transaction() as tx:
        tx.connection.exec_driver_sql(
            "UPDATE headrace.trigger SET seen_until = clock_timestamp() + interval '3 hours'"
        )

    database.rows("sync_triggers", triggers=json.dumps(pair))

    (row,) = database.rows("triggers")
    clock = database.row("clock")
    assert clock is not None
    assert row["seen_until"] <= clock["now"]
