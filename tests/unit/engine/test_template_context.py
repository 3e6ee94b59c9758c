"""What conditions and deferred templates see of a run and of the steps that have ended."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from headrace.engine.planning.template_context import holds, run_context, steps_context

NOON = datetime(2026, 7, 1, 23, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def row(**more: Any) -> dict[str, Any]:
    known = {
        "run_id": "R", "pipeline": "p", "trigger": "manual", "logical_date": NOON,
        "timezone": None, "params": None, "param_types": None, "started_at": NOON,
        "duration_s": 1.5, "failed_steps": ["a"], "when_expr": None, "steps": None, "empty": None,
    }  # fmt: skip
    return {**known, **more}


def ended(status: str = "completed", result: Any = None, error: str | None = None) -> Any:
    return {"status": status, "result": result, "error": error}


def test_a_run_is_on_the_clock_of_its_schedule_and_its_parameters_have_their_types() -> None:
    params = {"day": "2026-07-01", "n": 5, "none": None, "free": "x"}
    types = {"day": "date", "n": "integer", "none": "date"}

    found = run_context(row(timezone="Europe/Berlin", params=params, param_types=types))

    assert found == {
        "params": {"day": date(2026, 7, 1), "n": 5, "none": None, "free": "x"},
        "run": {
            "pipeline": "p", "trigger": "manual",
            "logical_date": datetime(2026, 7, 2, 1, tzinfo=BERLIN), "date": date(2026, 7, 2),
        },
    }  # fmt: skip
    assert found["run"]["logical_date"].tzinfo == BERLIN
    plain = run_context(row())
    assert (plain["params"], plain["run"]["date"]) == ({}, date(2026, 7, 1))
    without = run_context(row(logical_date=None))["run"]
    assert (without["logical_date"], without["date"]) == (None, None)


@pytest.mark.parametrize(
    ("started", "shown"), [(NOON, "2026-07-02 01:00:00+02:00"), (None, "None")]
)
def test_a_handler_sees_how_the_run_has_gone_also_of_one_that_never_started(
    started: datetime | None, shown: str
) -> None:
    found = run_context(row(outcome="failed", started_at=started, timezone="Europe/Berlin"))

    run = found["run"]
    assert [run[name] for name in ("id", "status", "duration_s", "failed_steps")] == [
        "R", "failed", 1.5, ["a"],
    ]  # fmt: skip
    assert str(run["started_at"]) == shown
    assert "status" not in run_context(row(outcome=None))["run"]


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["completed", "completed"], "completed"),
        (["skipped", "skipped"], "skipped"),
        (["skipped", "completed"], "completed"),
        (["cancelled", "skipped"], "cancelled"),
        (["cancelled", "failed", "completed"], "failed"),
    ],
)
def test_items_of_a_foreach_are_one_step(statuses: list[str], status: str) -> None:
    jobs = {f"each[{n}]": ended(one, n) for n, one in enumerate(statuses)}

    assert steps_context({"a": ended(result=1), **jobs}, None) == {
        "a": ended(result=1),
        "each": ended(status, list(range(len(statuses)))),
    }


def test_results_of_items_are_in_their_order_and_the_first_error_counts() -> None:
    jobs = {f"each[{n}]": ended("failed", n, f"no {n}") for n in (10, 2, 9)}
    jobs["each[1]"] = ended("completed", 1)

    (found,) = steps_context(jobs, []).values()

    assert found == ended("failed", [1, 2, 9, 10], "no 2")


def test_a_foreach_without_items_has_completed() -> None:
    assert steps_context({}, ["none"]) == {"none": ended(result=[])}


def test_a_condition_sees_parameters_and_steps_and_holds_where_there_is_none() -> None:
    steps = {"a": ended(result=3)}
    for when, held in (
        (None, True), ("params.n > 4", True), ("params.n > 5", False),
        ("steps.a.result == 3", True), ("steps.none.result", False),
    ):  # fmt: skip
        one = row(when_expr=when, params={"n": 5}, steps=steps, empty=["none"])
        assert holds(one) is held, when
