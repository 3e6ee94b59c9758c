"""Names for conditions and deferred templates: the run, its parameters, its steps."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from headrace.model.paramtypes import read
from headrace.template.values import evaluate


def holds(row: Mapping[str, Any]) -> bool:
    """Return whether a row of `conditions` passes its `when`, if it has one.

    Raises:
        TemplateError: The expression cannot be evaluated.
    """
    if row["when_expr"] is None:
        return True
    context = {**run_context(row), "steps": steps_context(row["steps"] or {}, row["empty"])}
    return bool(evaluate(row["when_expr"], context, name="when"))


def run_context(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return `params` and `run` of a row that has a run's columns and parts of its plan.

    Rows keep parameters as JSON has them; here they have their types again, and the logical
    date is on its schedule's clock.
    """
    types = row["param_types"] or {}
    logical: datetime | None = row["logical_date"]
    if logical is not None:
        logical = logical.astimezone(ZoneInfo(row["timezone"] or "UTC"))
    ended = _ended(row) if row.get("outcome") else {}
    return {
        "params": {
            name: value if value is None or name not in types else read(types[name], value)
            for name, value in (row["params"] or {}).items()
        },
        "run": {
            "pipeline": row["pipeline"],
            "trigger": row["trigger"],
            "logical_date": logical,
            **ended,
        },
    }


def _ended(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a handler may know of how the run has gone."""
    started: datetime | None = row["started_at"]
    if started is not None:
        started = started.astimezone(ZoneInfo(row["timezone"] or "UTC"))
    return {
        "id": str(row["run_id"]),
        "status": row["outcome"],
        "started_at": started,
        "duration_s": row["duration_s"],
        "failed_steps": row["failed_steps"],
    }


def steps_context(
    ended: Mapping[str, Mapping[str, Any]], empty: Iterable[str] | None
) -> dict[str, dict[str, Any]]:
    """Return `steps`: each with `status`, `result` and `error`, those of a `foreach` as one.

    `ended` has the run's jobs by their names; `id[0]`, `id[1]` … become `id` with the list of
    their results. Its status is completed where none of them failed or was cancelled, and
    skipped where all were.
    """
    steps: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[int, Mapping[str, Any]]] = {}
    for name, job in ended.items():
        step, bracket, index = name.partition("[")
        if bracket:
            groups.setdefault(step, {})[int(index[:-1])] = job
        else:
            steps[name] = dict(job)
    for step, jobs in groups.items():
        statuses = {job["status"] for job in jobs.values()}
        worst = next((s for s in ("failed", "cancelled") if s in statuses), "completed")
        status = "skipped" if statuses == {"skipped"} else worst
        steps[step] = {
            "status": status,
            "result": [jobs[index]["result"] for index in sorted(jobs)],
            "error": next((jobs[i]["error"] for i in sorted(jobs) if jobs[i]["error"]), None),
        }
    for step in empty or ():
        steps[step] = {"status": "completed", "result": [], "error": None}
    return steps
