"""A run that cannot be stored, or cannot be planned, keeps no other one back."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import ProgrammingError

from headrace.engine.scheduling.pipeline_triggers import PipelineTriggers
from headrace.engine.scheduling.scheduler import Scheduler
from headrace.engine.scheduling.subpipelines import MOST_RUNS
from headrace.errors import StoreUnavailable
from headrace.model.notifications import Notifications, Receiver
from headrace.model.plan import Plan
from headrace.store import queries
from tests.support.by_hand import ByHand, by_hand

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
ONLY = "steps:\n  - {id: only, job: FailedJob, retry: {limit: 0}}\n"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    receivers = {"team": Receiver("team", "webhook", "https://example.com")}
    told = Notifications(receivers=receivers)
    with by_hand(database, redis_url, tmp_path, notifications=told) as made:
        yield made


def declare(hand: ByHand, head: str, *names: str) -> None:
    folder = hand.headrace.settings.pipelines
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.yaml").write_text(f"name: {name}\n{head}{ONLY}", encoding="utf-8")
    assert hand.headrace.pipelines.refresh(), hand.headrace.pipelines.problems
    assert not hand.headrace.pipelines.problems, hand.headrace.pipelines.problems


def term_of(hand: ByHand) -> int:
    leader = hand.headrace.database.row("acquire_lease", holder="test", lease_s=60)
    assert leader is not None
    return int(leader["term"])


def runs_of(hand: ByHand, name: str) -> list[Any]:
    return hand.headrace.database.rows("runs", before=None, status=None, pipeline=name, limit=50)


def unstorable(plan: Plan) -> Plan:
    return replace(plan, params={"text": "\0"})


def unplannable(_plan: Plan) -> Plan:
    raise KeyError("nobody foresaw this")


def change_runs_of_b(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch, change: Callable[[Plan], Plan]
) -> None:
    planner = hand.headrace.planner
    made = planner.plan

    def plan(pipeline: Any, *given: Any, **more: Any) -> Plan:
        found = made(pipeline, *given, **more)
        return change(found) if pipeline.name == "b" else found

    monkeypatch.setattr(planner, "plan", plan)


@pytest.fixture(params=[unstorable, unplannable])
def told(
    request: pytest.FixtureRequest, hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Have the runs of `b` fail; return words of the error, and of the log."""
    change: Callable[[Plan], Plan] = request.param
    change_runs_of_b(hand, monkeypatch, change)
    if change is unstorable:
        return "unsupported Unicode escape sequence", "no run of b was started"
    return "nobody foresaw this", "b"


def test_the_runs_that_are_due_beside_it_start_and_it_is_passed_over(
    hand: ByHand, told: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    head = "schedule: {interval: 15m, catchup: all}\nnotify: {to: [team]}\n"
    declare(hand, head, "a", "b", "c")
    scheduler = Scheduler(
        hand.headrace.database, hand.headrace.dispatcher, hand.headrace.pipelines,
        hand.headrace.planner,
    )  # fmt: skip
    term = term_of(hand)
    scheduler.refresh(NOON)
    later = NOON + timedelta(minutes=30)

    assert scheduler.tick(later, term) == 4
    assert scheduler.tick(later + timedelta(minutes=15), term) == 2

    assert [len(runs_of(hand, name)) for name in "abc"] == [3, 0, 3]
    rows = hand.headrace.database.rows("schedules")
    assert len({row["seen_until"] for row in rows}) == 1
    error, logged = told
    assert any(logged in one.message and one.exc_info for one in caplog.records)
    told_of = hand.headrace.database.rows(
        "notifications", status=None, receiver=None, pipeline=None, limit=9
    )
    assert [one["pipeline"] for one in told_of] == ["b"] * 3
    assert all(error in str(one["content"]["error"]) for one in told_of)
    assert not any("INSERT" in str(one["content"]["error"]) for one in told_of)


def test_the_runs_that_wait_for_the_same_one_start_and_it_is_used_up(
    hand: ByHand, told: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "headrace.daemon")
    headrace = hand.headrace
    declare(hand, "", "load")
    declare(hand, "trigger: {pipelines: [load], on: failed}\n", "a", "b", "c")
    triggers = PipelineTriggers(
        headrace.database, headrace.dispatcher, headrace.pipelines, headrace.planner, lambda: 0.0
    )
    term = term_of(hand)
    triggers.refresh(term)
    load = hand.run("load")
    with headrace.database.transaction() as tx:
        triggers.look(tx)

    assert triggers.tick(term) == 2

    assert not triggers.behind
    assert [len(runs_of(hand, name)) for name in "abc"] == [1, 0, 1]
    (used,) = headrace.database.rows("last_triggered", pipelines=["b"], limit=1)
    error, logged = told
    assert error in used["error"]
    assert "INSERT" not in used["error"]
    assert any(logged in one.message and one.exc_info for one in caplog.records)
    assert load["status"] == "failed"


def be_away_once(monkeypatch: pytest.MonkeyPatch, starter: Any, last: str) -> None:
    """Have PostgreSQL be away when the run of one pipeline is started alone, the first time."""
    start, away = starter._start, [[last]]

    def started(*given: Any) -> Any:
        due = given[-2]
        if due in away:
            away.clear()
            raise StoreUnavailable("away")
        return start(*given)

    monkeypatch.setattr(starter, "_start", started)


@pytest.fixture
def spoiled(hand: ByHand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no run of `b` be storable."""
    change_runs_of_b(hand, monkeypatch, unstorable)


@pytest.mark.usefixtures("spoiled")
def test_an_outage_amid_schedules_leaves_the_rest_for_the_next_turn(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(hand, "schedule: {interval: 15m, catchup: all}\n", "a", "b", "c")
    headrace = hand.headrace
    scheduler = Scheduler(
        headrace.database, headrace.dispatcher, headrace.pipelines, headrace.planner
    )
    term, later = term_of(hand), NOON + timedelta(minutes=15)
    scheduler.refresh(NOON)
    be_away_once(monkeypatch, scheduler, "c")

    with pytest.raises(StoreUnavailable, match="away"):
        scheduler.tick(later, term)

    assert [len(runs_of(hand, name)) for name in "abc"] == [1, 0, 0]
    assert scheduler.is_due(later)
    assert scheduler.tick(later, term) == 1
    assert [len(runs_of(hand, name)) for name in "abc"] == [1, 0, 1]
    assert not scheduler.is_due(later)


@pytest.mark.usefixtures("spoiled")
def test_an_outage_amid_triggers_leaves_the_rest_for_the_next_turn(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    headrace = hand.headrace
    declare(hand, "", "load")
    declare(hand, "trigger: {pipelines: [load], on: failed}\n", "a", "b", "c")
    triggers = PipelineTriggers(
        headrace.database, headrace.dispatcher, headrace.pipelines, headrace.planner, lambda: 0.0
    )
    term = term_of(hand)
    triggers.refresh(term)
    hand.run("load")
    with headrace.database.transaction() as tx:
        triggers.look(tx)
    be_away_once(monkeypatch, triggers, "c")

    with pytest.raises(StoreUnavailable, match="away"):
        triggers.tick(term)

    assert triggers.behind
    assert [len(runs_of(hand, name)) for name in "abc"] == [1, 0, 0]
    assert triggers.tick(term) == 1
    assert [len(runs_of(hand, name)) for name in "abc"] == [1, 0, 1]
    assert len(headrace.database.rows("last_triggered", pipelines=["b"], limit=9)) == 1


def rename(hand: ByHand, table: str, name: str) -> None:
    with hand.headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql(f"ALTER TABLE headrace.{table} RENAME TO {name}")


def test_while_a_table_is_missing_what_is_due_waits(hand: ByHand) -> None:
    headrace = hand.headrace
    declare(hand, "", "load")
    declare(hand, "trigger: {pipelines: [load], on: failed}\n", "a", "b")
    declare(hand, "schedule: {interval: 15m, catchup: all}\n", "c", "d")
    declare(hand, "", "child")
    file = headrace.settings.pipelines / "parent.yaml"
    file.write_text("name: parent\nsteps:\n  - {id: only, pipeline: child}\n", encoding="utf-8")
    assert headrace.pipelines.refresh()
    made_by = headrace.database, headrace.dispatcher, headrace.pipelines, headrace.planner
    scheduler, triggers = Scheduler(*made_by), PipelineTriggers(*made_by, lambda: 0.0)
    term, later = term_of(hand), NOON + timedelta(minutes=15)
    triggers.refresh(term)
    scheduler.refresh(NOON)
    hand.run("load")
    with headrace.database.transaction() as tx:
        triggers.look(tx)
    parent = headrace.start_run("parent", {})
    steps = headrace.database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)

    rename(hand, "plan", "gone")
    with pytest.raises(ProgrammingError, match=r'"headrace\.plan" does not exist'):
        headrace.subpipelines.start(steps, term)
    with pytest.raises(ProgrammingError, match=r'"headrace\.plan" does not exist'):
        scheduler.tick(later, term)
    with pytest.raises(ProgrammingError, match=r'"headrace\.plan" does not exist'):
        triggers.tick(term)
    rename(hand, "gone", "plan")

    assert (scheduler.tick(later, term), triggers.tick(term)) == (2, 2)
    assert hand.statuses(parent) == {"only": "waiting"}
    headrace.dispatcher.send_soon(headrace.subpipelines.start(steps, term))
    assert [len(runs_of(hand, name)) for name in ("a", "b", "c", "d", "child")] == [1] * 5
