"""How the runs that steps ask for are begun: in which order, how many at a time, and by whom."""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import ProgrammingError

from headrace.engine.scheduling import subpipelines
from headrace.engine.scheduling.subpipelines import Subpipelines
from headrace.errors import HeadraceError, LeadershipLost, StoreUnavailable
from headrace.model.pipeline import Concurrency
from headrace.model.plan import Plan
from headrace.queue.message import Message
from tests.support.fake_database import FakeDatabase

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def wanted(number: int, **more: Any) -> Any:
    return {
        "id": UUID(int=number), "run_id": UUID(int=90), "job_class": "pipeline child",
        "payload": {"n": number}, "late": False, "step": "s", "pipeline": "parent",
        "logical_date": NOON, "timezone": "Asia/Tokyo", "paused": False, "above": ["parent"],
        **more,
    }  # fmt: skip


class Stand:
    """The starter of runs among fakes that stand for dispatcher, pipelines and planner."""

    def __init__(self) -> None:
        self.database = FakeDatabase(
            {
                "lock_wanted_children": lambda ids: [{"id": id_, "child_run": None} for id_ in ids],
                "holds_term": [{"held": True}],
            }
        )
        self.planned: list[Any] = []
        self.inserted: list[list[Plan]] = []
        self.refuses: dict[int, Exception] = {}
        database: Any = self.database
        self_: Any = self
        pipelines: Any = SimpleNamespace(get=lambda name: name)
        self.starts = Subpipelines(database, self_, pipelines, self_)

    def plan(self, pipeline: Any, given: Any, instant: Any, trigger: Any, *, timezone: Any) -> Plan:
        self.planned.append((pipeline, dict(given), instant, str(trigger), timezone))
        if given["n"] in self.refuses:
            raise self.refuses[given["n"]]
        group = Concurrency(group=f"group {given['n']}")
        jobs: Any = (None,) * given.get("jobs", 1)
        return Plan("child", "1", given, NOON, jobs, concurrency=group)

    def insert_runs(
        self, tx: Any, due: Sequence[Any], *, term: int | None
    ) -> tuple[list[Any], list[Message]]:
        tx.run_named("insert", {"term": term})
        plans = [plan for plan, _trigger in due]
        self.inserted.append(plans)
        rows = [
            {"id": UUID(int=100 + plan.params["n"]), "parent_job": plan.parent_job,
             "pipeline": "child", "status": "running"}
            for plan in plans
        ]  # fmt: skip
        return rows, [Message(UUID(int=100 + plan.params["n"]), 0, "low", 1.0) for plan in plans]

    def assign_slots_for(self, plans: Sequence[Plan]) -> list[Message]:
        return [Message(UUID(int=500 + len(plans)), 0, "low", 1.0)] if plans else []

    def begun(self) -> list[Any]:
        return [
            one["run"]
            for values in self.database.values_of("begin_children")
            for one in json.loads(values["begun"])
        ]

    def failures(self) -> list[tuple[int, str]]:
        asked = self.database.values_of("fail_undecided")
        return [(values["id"].int, values["error"]) for values in asked]


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_groups_are_held_before_any_row_and_the_lead_is_looked_at_last(stand: Stand) -> None:
    sent = stand.starts.start([wanted(1), wanted(2)], 7)

    assert [name for name, _ in stand.database.asked] == [
        "lock_groups",
        "open_runs_of_groups",
        "lock_wanted_children",
        "insert",
        "begin_children",
        "wake_parents",
        "holds_term",
    ]
    assert stand.database.values_of("lock_groups") == [{"groups": ["group 1", "group 2"]}]
    assert stand.database.values_of("holds_term") == [{"term": 7}]
    assert stand.begun() == [str(UUID(int=101)), str(UUID(int=102))]
    assert [message.job_id.int for message in sent] == [101, 102, 502]
    assert stand.planned[0] == ("child", {"n": 1}, NOON, "pipeline", "Asia/Tokyo")
    assert [plan.parent_job for plan in stand.inserted[0]] == [
        str(UUID(int=1)), str(UUID(int=2)),
    ]  # fmt: skip


def test_whoever_leads_no_more_starts_nothing_and_without_a_term_nobody_is_asked(
    stand: Stand,
) -> None:
    stand.database.answers["holds_term"] = []
    with pytest.raises(LeadershipLost, match="term 7 is over"):
        stand.starts.start([wanted(1), wanted(2)], 7)
    assert len(stand.database.values_of("holds_term")) == 1, "it is not tried one by one"
    stand.database.asked.clear()

    stand.starts.start([wanted(1)], None)
    assert stand.database.values_of("holds_term") == []


def test_only_so_many_jobs_are_made_by_one_transaction(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subpipelines, "_MOST_JOBS", 4)
    asked = [wanted(number, payload={"n": number, "jobs": 2}) for number in range(1, 6)]

    stand.starts.start(asked, 7)

    assert [plan.params["n"] for plan in stand.inserted[0]] == [1, 2, 3]
    assert stand.starts.start([], 7) == []


def test_what_is_wanted_no_more_is_passed_over(stand: Stand) -> None:
    stand.database.answers["lock_wanted_children"] = [{"id": UUID(int=2), "child_run": None}]

    stand.starts.start([wanted(1), wanted(2)], 7)

    assert [plan.params["n"] for plan in stand.inserted[0]] == [2]


def test_what_can_have_no_run_fails_with_the_reason_and_the_others_start(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.refuses = {
        3: HeadraceError("n is odd"),
        4: ValueError("too\nlong"),
        5: RuntimeError("odd"),
    }
    above = wanted(1, above=["top", "child", "parent"])
    asked = [above, wanted(2, paused=True), wanted(3), wanted(4), wanted(5), wanted(6)]

    stand.starts.start(asked, 7)

    start = "no run of child was started: "
    assert stand.failures() == [
        (1, f"{start}it would run itself endlessly (child runs parent runs child)"),
        (2, f"{start}it is paused; `headrace resume child` lets it run again"),
        (3, f"{start}n is odd"),
        (4, f"{start}too"),
        (5, f"{start}odd"),
    ]
    assert [plan.params["n"] for plan in stand.inserted[0]] == [6]
    (logged,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert logged.getMessage() == f"no run can be planned for job {UUID(int=5)}"


def test_an_outage_fails_no_step(stand: Stand) -> None:
    stand.refuses = {1: StoreUnavailable("away")}
    with pytest.raises(StoreUnavailable):
        stand.starts.start([wanted(1)], 7)
    stand.refuses = {}
    stand.database.answers["begin_children"] = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        stand.starts.start([wanted(1), wanted(2)], 7)
    assert stand.failures() == []


def test_one_that_cannot_be_stored_fails_and_the_others_start(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    def begin(begun: str) -> list[Any]:
        if str(UUID(int=102)) in begun:
            raise RuntimeError("it is no JSON\n[SQL: …]")
        return []

    stand.database.answers["begin_children"] = begin
    stand.database.answers["fail_undecided"] = lambda id, error: [  # noqa: A006 - a value's name
        {"id": id, "run_id": UUID(int=90), "status": "failed", "dependents": 1, "error": error}
    ]

    stand.starts.start([wanted(1), wanted(2), wanted(3)], 7)

    assert stand.failures() == [(2, "no run of child was started: it is no JSON")]
    alone = [[plan.params["n"] for plan in plans] for plans in stand.inserted]
    assert alone == [[1, 2, 3], [1], [2], [3]]
    assert stand.database.values_of("update_dependants") == [{"upstream": [UUID(int=2)]}]
    assert stand.database.values_of("finish_run") == [{"ids": [UUID(int=90)]}]
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR] == [
        f"no run of child for job {UUID(int=2)} was started"
    ]


def test_where_a_right_is_missing_no_step_fails(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    refused: Any = SimpleNamespace(pgcode="42501")
    error = ProgrammingError("INSERT …", {}, refused)
    stand.database.answers["begin_children"] = error

    with pytest.raises(ProgrammingError) as raised:
        stand.starts.start([wanted(1), wanted(2)], 7)

    assert raised.value is error
    assert stand.failures() == []
    assert caplog.records == [], "the daemon logs it, once for all"


@pytest.mark.parametrize(
    ("status", "params", "failed", "goes_on"),
    [
        ("completed", {"n": 1}, [], True),
        ("running", {"n": 1}, [], True),
        ("completed", {"n": 2}, [], False),
        ("skipped", {"n": 1}, [], False),
        ("failed", {"n": 1}, [], False),
        ("failed", {"n": 1}, [5], True),
        ("cancelled", {"n": 1}, [5], True),
    ],
)
def test_an_earlier_run_goes_on_where_it_was_to_do_the_same_and_something_is_left(
    stand: Stand, status: str, params: dict[str, Any], failed: list[int], goes_on: bool
) -> None:
    earlier = UUID(int=77)
    stand.database.answers |= {
        "lock_wanted_children": [{"id": UUID(int=1), "child_run": earlier}],
        "earlier_child": [{"id": earlier, "status": status, "params": params}],
        "failed_jobs_of_run": [{"id": UUID(int=number)} for number in failed],
        "lock_totals": [{"until": NOON, "ahead": False, "number": 1}],
        "reopen_jobs": [{"id": UUID(int=5), "run_id": earlier}],
        "recount_waiting": [
            {"id": UUID(int=5), "attempt": 1, "queue": "low", "timeout_s": 1.0, "deps_left": 0,
             "status": "queued"}
        ],
    }  # fmt: skip

    sent = stand.starts.start([wanted(1)], 7)

    assert stand.begun() == [str(earlier if goes_on else UUID(int=101))]
    assert bool(stand.inserted) is not goes_on
    reopened = [values["ids"] for values in stand.database.values_of("reopen_jobs")]
    assert reopened == ([[UUID(int=5)]] if failed else [])
    assert [values["ids"] for values in stand.database.values_of("finish_run")] == (
        [[earlier]] if failed else []
    )
    if failed:
        assert sent == [Message(UUID(int=5), 1, "low", 1.0)]
