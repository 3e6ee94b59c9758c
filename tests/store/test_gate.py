"""The trigger rules, whichever way and in whichever order the jobs above end."""

import re
from itertools import permutations

import pytest

from headrace.declarations.schemas import schema
from headrace.engine.gating.gate import decide, recount, update_dependants
from headrace.store.trigger_rules import trigger_rules
from tests.support.rows import Rows

# rule → what becomes of the job below, by how the two above it end (in any order).
RULES: dict[str, dict[tuple[str, str], str]] = {
    "all_success": {
        ("completed", "completed"): "queued",
        ("completed", "failed"): "skipped",
        ("completed", "skipped"): "skipped",
        ("failed", "skipped"): "skipped",
    },
    "all_done": {
        ("completed", "completed"): "queued",
        ("completed", "failed"): "queued",
        ("completed", "skipped"): "queued",
        ("failed", "skipped"): "queued",
    },
    "one_success": {
        ("completed", "completed"): "queued",
        ("completed", "failed"): "queued",
        ("completed", "skipped"): "queued",
        ("failed", "skipped"): "skipped",
    },
    "one_failed": {
        ("completed", "completed"): "skipped",
        ("completed", "failed"): "queued",
        ("completed", "skipped"): "skipped",
        ("failed", "skipped"): "queued",
    },
    "none_failed": {
        ("completed", "completed"): "queued",
        ("completed", "failed"): "skipped",
        ("completed", "skipped"): "queued",
        ("failed", "skipped"): "skipped",
    },
    "all_failed": {
        ("completed", "completed"): "skipped",
        ("completed", "failed"): "skipped",
        ("failed", "failed"): "queued",
        ("failed", "skipped"): "skipped",
        ("failed", "blocked"): "queued",
    },
    "one_done": {
        ("completed", "completed"): "queued",
        ("completed", "failed"): "queued",
        ("completed", "skipped"): "queued",
        ("failed", "skipped"): "queued",
        ("skipped", "skipped"): "skipped",
        ("blocked", "skipped"): "skipped",
    },
    "none_failed_min_one_success": {
        ("completed", "completed"): "queued",
        ("completed", "failed"): "skipped",
        ("completed", "skipped"): "queued",
        ("failed", "skipped"): "skipped",
        ("skipped", "skipped"): "skipped",
        ("completed", "blocked"): "skipped",
    },
}
CASES = [
    (rule, order, after)
    for rule, outcomes in RULES.items()
    for ends, after in outcomes.items()
    for order in sorted(set(permutations(ends)))
]


def end(rows: Rows, job, outcome: str) -> None:
    """End a job as its worker or the gate would."""
    if outcome == "completed":
        rows.store.raw  # noqa: B018
        completed = rows.store.complete(rows.claimed(job), None)
        if completed.undecided:
            with rows.store.transaction() as tx:
                decide(tx, completed.undecided)
        return
    with rows.database.transaction() as tx:
        if outcome == "failed":
            values = {"outcome": "failed", "error": "", "traceback": "", "retry_in": None}
            tx.rows("fail_attempt", id=job, attempt=1, **values)
        else:
            rows.sql(f"UPDATE headrace.job SET status = 'waiting' WHERE id = '{job}'")
            reason = "upstream_failed" if outcome == "blocked" else "condition"
            tx.rows("skip_jobs", ids=[job], reason=reason)
        update_dependants(tx, [job])


@pytest.mark.parametrize(("rule", "order", "after"), CASES)
def test_the_gate_follows_the_trigger_rule(
    rows: Rows, rule: str, order: tuple[str, ...], after: str
) -> None:
    above = [rows.add("started"), rows.add("started")]
    below = rows.add("waiting", upstream=above, rule=rule)

    for job, outcome in zip(above, order, strict=True):
        end(rows, job, outcome)

    assert rows.status(below) == after


@pytest.mark.parametrize(("rule", "order", "after"), CASES)
def test_a_recount_decides_as_the_gate_does(
    rows: Rows, rule: str, order: tuple[str, ...], after: str
) -> None:
    above = [rows.add("skipped" if one == "blocked" else one) for one in order]
    for job, outcome in zip(above, order, strict=True):
        if outcome == "blocked":
            rows.sql(f"UPDATE headrace.job SET skip_reason = 'upstream_failed' WHERE id = '{job}'")
    below = rows.add("waiting", upstream=above, rule=rule)

    with rows.database.transaction() as tx:
        recount(tx, [below])

    assert rows.status(below) == after


@pytest.mark.parametrize("outcome", ["completed", "failed"])
def test_one_done_does_not_wait_for_the_others(rows: Rows, outcome: str) -> None:
    above = [rows.add("started"), rows.add("started")]
    below = rows.add("waiting", upstream=above, rule="one_done")

    end(rows, above[0], outcome)

    assert rows.status(below) == "queued"


def test_the_rules_stand_in_the_gate_the_schema_and_the_database(rows: Rows) -> None:
    enum = schema("pipeline")["$defs"]["step"]["properties"]["trigger_rule"]["enum"]
    (domain,) = rows.sql(
        "SELECT pg_get_constraintdef(oid) AS check FROM pg_constraint"
        " WHERE contypid = 'headrace.trigger_rule'::regtype"
    )

    assert set(enum) == set(trigger_rules())
    assert set(re.findall(r"'(\w+)'", domain["check"])) == set(trigger_rules())
    assert set(RULES) == set(enum) - {"always"}


def test_what_is_skipped_is_skipped_all_the_way_down(rows: Rows) -> None:
    first = rows.add("started")
    second = rows.add("waiting", upstream=[first])
    third = rows.add("waiting", upstream=[second])
    always = rows.add("waiting", upstream=[third], rule="all_done")

    end(rows, first, "failed")

    assert [rows.status(job) for job in (second, third, always)] == ["skipped", "skipped", "queued"]
    assert rows.row(second)["finished_at"] is not None
    assert rows.row(second)["started_at"] is None
