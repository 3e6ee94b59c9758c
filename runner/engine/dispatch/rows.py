"""The rows of runs and jobs, as the inserting statements take them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from headrace.model.ids import new_id
from headrace.model.plan import FOREACH, MOST_ITEMS, Plan, PlannedJob
from headrace.model.status import Trigger
from headrace.model.subpipeline import pipeline_of
from headrace.plan.retry_policy import policy_to_row
from headrace.store.row_types import NewRun

# What a job may ask for, by column, and the version of the schema whose workers were the first to
# know it. A worker before that leaves the job to newer ones. Whoever adds a column that changes
# what an attempt does adds it here, with the number of its migration.
SINCE: Mapping[str, int] = {"env": 5, "pool": 4}
# The same for trigger rules: whoever ends a job decides about those below it, so that all jobs
# of a run with such a rule are left to workers that know it.
RULES_SINCE: Mapping[str, int] = dict.fromkeys(
    ("all_failed", "one_done", "none_failed_min_one_success"), 18
)


def needs_of(row: Mapping[str, Any]) -> int | None:
    """Return the oldest version of the schema whose workers know all that a job's row asks for.

    A job that makes those of a step's items asks for what they do, and hands it on to them: a
    worker that did not know it would leave it out of them.
    """
    asked = row["payload"] if row["job_class"] == FOREACH else row
    return max((since for column, since in SINCE.items() if asked.get(column)), default=None)


def planned_row(**values: Any) -> dict[str, Any]:
    """Return one row for `insert_jobs`; a job of no run waits for nothing."""
    row = {
        "run_id": None,
        "pipeline": None,
        "step": None,
        "deps_left": 0,
        "dependents": 0,
        "late": False,
        "trigger_rule": "all_success",
        "when_expr": None,
        "allow_failure": False,
        "folder": "",
        "logical_date": None,
        "held": False,
        "handler": None,
        "pool": None,
        "pool_slots": None,
        "env": None,
        "timezone": None,
        "rules_need": None,
        **values,
    }
    needs = [since for since in (needs_of(row), row.pop("rules_need")) if since is not None]
    return {**row, "needs": max(needs, default=None)}


def run_row(run_id: str, plan: Plan, trigger: Trigger, plan_id: str) -> dict[str, Any]:
    """Return one row for `insert_runs`: the run, with what its jobs' templates need."""
    limit = plan.concurrency
    return {
        "id": run_id,
        "concurrency_group": limit.group if limit else None,
        "concurrency_limit": limit.limit if limit else None,
        "has_handlers": any(job.handler for job in plan.jobs),
        "parent_job": plan.parent_job,
        "pipeline": plan.pipeline,
        "version": plan.version,
        "trigger": trigger,
        "logical_date": plan.logical_date.isoformat(),
        "params": dict(plan.params),
        "plan": {
            "folder": plan.folder,
            "param_types": dict(plan.param_types),
            "timezone": plan.timezone,
        },
        "plan_id": plan_id,
        "notify": {"on": plan.notify.on, "to": plan.notify.to} if plan.notify else None,
        "expected": {name: asdict(one) for name, one in plan.expected.items()} or None,
    }


def add_jobs(
    plan: Plan, run: NewRun, jobs: list[dict[str, Any]], edges: list[dict[str, str]]
) -> None:
    """Append the rows of one run's jobs and of what waits for what; a queued run holds them."""
    run_id, held = str(run["id"]), run["status"] == "queued"
    # Items' ids come right after that of the job that makes them: upstream before downstream,
    # the order in which rows are locked.
    ids = {job.step: str(new_id(MOST_ITEMS if job.foreach else 0)) for job in plan.jobs}
    dependents = dict.fromkeys(ids, 0)
    rules_need = max((RULES_SINCE.get(job.trigger_rule, 0) for job in plan.jobs), default=0)
    for job in plan.jobs:
        for upstream in job.depends_on:
            dependents[upstream] += 1
            edges.append({"upstream_id": ids[upstream], "job_id": ids[job.step]})
    shared = {
        "run_id": run_id,
        "pipeline": plan.pipeline,
        "folder": plan.folder,
        "logical_date": plan.logical_date.isoformat(),
        "timezone": plan.timezone,
        "rules_need": rules_need or None,
    }
    jobs.extend(
        planned_row(
            **shared,
            **_own_values(job, run_id, run_is_held=held),
            id=ids[job.step],
            dependents=dependents[job.step],
        )
        for job in plan.jobs
    )


def _own_values(job: PlannedJob, run_id: str, *, run_is_held: bool) -> dict[str, Any]:
    """Return what a job's row has from its step alone."""
    condition, takes_slot = _condition(job), _takes_slot(job)
    held = run_is_held or takes_slot or bool(condition or job.handler)
    return {
        "job_class": FOREACH if job.foreach else job.job_class,
        "payload": _items_payload(job, run_id) if job.foreach else dict(job.payload),
        "queue": job.queue,
        "timeout_s": job.timeout_s,
        "retry": policy_to_row(job.retry),
        "step": job.step,
        "deps_left": len(job.depends_on),
        "late": job.late,
        "trigger_rule": job.trigger_rule,
        "when_expr": condition,
        "allow_failure": job.allow_failure,
        "held": held and not job.depends_on,
        "handler": job.handler,
        "pool": _pool(job, run_id) if takes_slot else None,
        "pool_slots": job.slots if takes_slot else None,
        "env": dict(job.env) if job.env and job.foreach is None else None,
    }


def _takes_slot(job: PlannedJob) -> bool:
    """Return whether the job itself runs in a pool; one that makes the jobs of items does not."""
    return job.slots is not None and job.foreach is None


def _items_payload(job: PlannedJob, run_id: str) -> dict[str, Any]:
    """Return what `engine/attempts/foreach.py` needs to make the jobs of a step's items."""
    return {
        "foreach": dict(job.foreach or {}),
        "job": job.job_class,
        "with": dict(job.payload),
        "env": dict(job.env),
        "pool": _pool(job, run_id),
        "slots": job.slots,
    }


def _condition(job: PlannedJob) -> str | None:
    """Return what the gate evaluates.

    A step that runs a pipeline always has a condition: with one it is left to the gate, which
    does not queue it but has its run started, and jobs of a class pay nothing for it.
    """
    runs_one = job.foreach is None and pipeline_of(job.job_class) is not None
    return job.when or ("true" if runs_one else None)


def _pool(job: PlannedJob, run_id: str) -> str | None:
    """Return the pool whose slots limit the job: that of its step in this run where it has none.

    What limits the runs of a step is no pool: they are counted as they are started.
    """
    if job.slots is None or job.pool is not None or pipeline_of(job.job_class) is not None:
        return job.pool
    return f"{run_id} {job.step.partition('[')[0]}"
