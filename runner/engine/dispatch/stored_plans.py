"""The steps of a run as they are stored: once for all runs that were planned alike.

The arguments of the jobs differ from run to run and are in the jobs' own rows; so do the items of a
`foreach`, of which only the count is kept.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from headrace.model.plan import Plan, PlannedJob
from headrace.plan.retry_policy import policy_to_row
from headrace.store.database import Transaction


def steps_as_stored(plan: Plan) -> tuple[str, str]:
    """Return the id of a plan's steps, which is a digest of them, and the steps as JSON."""
    steps: dict[str, dict[str, Any]] = {}
    for job in plan.jobs:
        name, bracket, _item = job.step.partition("[")
        if name not in steps:
            steps[name] = _step(name, job)
        if bracket:
            steps[name]["items"] = steps[name].get("items", 0) + 1
    text = json.dumps(list(steps.values()), sort_keys=True)
    return str(UUID(bytes=sha256(text.encode()).digest()[:16])), text


def keep_plans(tx: Transaction, plans: Mapping[str, Plan]) -> dict[str, str]:
    """Store the steps of runs' plans where they are missing; returns the plans' ids by the runs'.

    Those that are there stay to the commit.
    """
    stored = {run_id: steps_as_stored(plan) for run_id, plan in plans.items()}
    steps = dict(stored.values())
    there = {str(row["id"]) for row in tx.rows("hold_plans", ids=list(steps))}
    missing = [{"id": one, "steps": text} for one, text in steps.items() if one not in there]
    if missing:
        tx.rows("add_plans", plans=json.dumps(missing))
    return {run_id: plan_id for run_id, (plan_id, _steps) in stored.items()}


def _step(name: str, job: PlannedJob) -> dict[str, Any]:
    given = {
        "depends_on": _steps_of(job.depends_on),
        "when": job.when,
        "allow_failure": job.allow_failure,
        "handler": job.handler,
        "pool": job.pool,
        "slots": job.slots,
        "foreach": job.foreach is not None,
    }
    return {
        "step": name,
        "job": job.job_class,
        "queue": job.queue,
        "timeout_s": job.timeout_s,
        "retry": policy_to_row(job.retry),
        "trigger_rule": job.trigger_rule,
        **{key: value for key, value in given.items() if value},
    }


def _steps_of(jobs: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(job.partition("[")[0] for job in jobs))
