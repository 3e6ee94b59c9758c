"""What a job's row says of the workers that may take it."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from headrace.engine.dispatch.rows import RULES_SINCE, add_jobs, planned_row
from headrace.model.plan import FOREACH, Plan, PlannedJob
from headrace.model.retry import RetryPolicy
from headrace.store.row_types import NewRun
from headrace.store.trigger_rules import trigger_rules


@pytest.mark.parametrize(
    ("asked", "needs"),
    [
        ({}, None),
        ({"env": {}}, None),
        ({"pool": "narrow"}, 4),
        ({"env": {"REGION": "eu"}}, 5),
        ({"env": {"REGION": "eu"}, "pool": "narrow"}, 5),
    ],
)
def test_a_row_needs_workers_that_know_all_that_it_asks_for(
    asked: dict[str, Any], needs: int | None
) -> None:
    assert (
        planned_row(job_class="RunSql", payload={"env": "x", "pool": "y"}, **asked)["needs"]
        == needs
    )
    # What makes the jobs of items needs what they do, which is in its arguments.
    assert planned_row(job_class=FOREACH, payload=asked)["needs"] == needs


def planned(step: str, **more: Any) -> PlannedJob:
    return PlannedJob(step, "RunSql", {}, "medium", RetryPolicy(limit=0), 60.0, **more)


@pytest.mark.parametrize("rule", sorted(trigger_rules()))
def test_all_jobs_of_a_run_need_workers_that_know_its_trigger_rules(rule: str) -> None:
    below = planned("last", depends_on=("first",), trigger_rule=rule, env={"REGION": "eu"})
    plan = Plan("rules", "1", {}, datetime(2026, 1, 1, tzinfo=UTC), (planned("first"), below))
    jobs: list[dict[str, Any]] = []

    add_jobs(plan, cast("NewRun", {"id": "x", "status": "running"}), jobs, [])

    since = RULES_SINCE.get(rule)
    assert [job["needs"] for job in jobs] == [since, since or 5]
