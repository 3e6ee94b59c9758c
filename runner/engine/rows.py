"""The rows of runs and jobs, as the inserting statements take them."""

from dataclasses import fields
from typing import Any

from runner.engine.policies import policy_to_row
from runner.model.ids import new_id
from runner.model.plan import Plan, PlannedJob
from runner.model.status import Trigger


def planned_row(**values: Any) -> dict[str, Any]:
    """Return one row for `insert_jobs`; a job of no run waits for nothing."""
    return {
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
        **values,
    }


def run_row(run_id: str, plan: Plan, trigger: Trigger) -> dict[str, Any]:
    """Return one row for `insert_runs`: the run, and the plan that it is expanded from."""
    return {
        "id": run_id,
        "pipeline": plan.pipeline,
        "version": plan.version,
        "trigger": trigger,
        "logical_date": plan.logical_date.isoformat(),
        "params": dict(plan.params),
        "plan": {
            "folder": plan.folder,
            "param_types": dict(plan.param_types),
            "timezone": plan.timezone,
            "empty": list(plan.empty),
            "jobs": [_plan_row(job) for job in plan.jobs],
        },
    }


def _plan_row(job: PlannedJob) -> dict[str, Any]:
    # Not `asdict`, which copies every payload to its depths: a fan-out has ten thousand.
    row = {field.name: getattr(job, field.name) for field in fields(job)}
    return {**row, "retry": policy_to_row(job.retry)}


def add_jobs(
    plan: Plan, run_id: str, jobs: list[dict[str, Any]], edges: list[dict[str, str]]
) -> None:
    """Append the rows of one run's jobs and of what waits for what."""
    ids = {job.step: str(new_id()) for job in plan.jobs}
    dependents = dict.fromkeys(ids, 0)
    for job in plan.jobs:
        for upstream in job.depends_on:
            dependents[upstream] += 1
            edges.append({"upstream_id": ids[upstream], "job_id": ids[job.step]})
    jobs.extend(
        planned_row(
            id=ids[job.step],
            job_class=job.job_class,
            payload=dict(job.payload),
            queue=job.queue,
            timeout_s=job.timeout_s,
            retry=policy_to_row(job.retry),
            run_id=run_id,
            pipeline=plan.pipeline,
            step=job.step,
            deps_left=len(job.depends_on),
            dependents=dependents[job.step],
            late=job.late,
            trigger_rule=job.trigger_rule,
            when_expr=job.when,
            allow_failure=job.allow_failure,
            held=job.when is not None and not job.depends_on,
            folder=plan.folder,
            logical_date=plan.logical_date.isoformat(),
        )
        for job in plan.jobs
    )
