"""From a pipeline and what was given to the plan of one run."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from runner.config import Settings
from runner.engine.pipelines import Pipelines
from runner.engine.registry import Registry
from runner.model.pipeline import Pipeline
from runner.model.plan import Plan, PlannedJob
from runner.model.status import Trigger
from runner.model.subpipeline import pipeline_of
from runner.plan.expand import ExpandDefaults, expand, plain
from runner.plan.params import resolve_params
from runner.plan.variables import run_variables
from runner.template.values import render_value

LONGEST_REPEATED = 100


class Planner:
    """Makes plans, the same for every trigger."""

    def __init__(self, settings: Settings, pipelines: Pipelines, registry: Registry) -> None:
        self._pipelines = pipelines
        self._registry = registry
        self._defaults = ExpandDefaults(
            queue=settings.default_queue,
            timeout_s=settings.timeout_s,
            retry=settings.retry,
            pools=settings.pools,
        )

    def plan(
        self,
        pipeline: Pipeline,
        params: Mapping[str, Any],
        logical_date: datetime,
        trigger: Trigger,
        *,
        timezone: str | None = None,
    ) -> Plan:
        """Return the plan of one run of `pipeline`; `timezone` is the firing schedule's.

        Raises:
            InvalidParams: The parameters do not fit.
            TemplateError: A value cannot be rendered with them.
        """
        context: dict[str, Any] = {"trigger": str(trigger)}
        if timezone is not None:
            context["timezone"] = timezone
        resolved = resolve_params(
            pipeline,
            params,
            render=render_value,
            variables={"run": run_variables(pipeline, logical_date, context)},
        )
        plan = expand(
            pipeline,
            params=resolved,
            logical_date=logical_date,
            render=render_value,
            run_context=context,
            defaults=self._defaults,
            referring=self._registry.referring,
        )
        jobs = tuple(self._with_params(job, plan.params) for job in plan.jobs)
        return replace(plan, jobs=jobs, folder=self._pipelines.folder_of(pipeline))

    def _with_params(self, job: PlannedJob, params: Mapping[str, Any]) -> PlannedJob:
        """Give a job that runs SQL the run's params, so that `{{ params.day }}` works in it.

        They are bound there like the job's own, which come first.
        """
        if pipeline_of(job.job_class) is not None:
            return job
        if not params or "params" not in self._registry.get(job.job_class).parameters:
            return job
        own = job.payload.get("params") or {}
        given = {
            name: plain(value)
            for name, value in params.items()
            if not (job.step.endswith("]") and _is_long(value))
        }
        return replace(job, payload={**job.payload, "params": {**given, **own}})


def _is_long(value: Any) -> bool:
    """Tell whether a value is too long to be repeated in every job of a foreach: its items, say."""
    return isinstance(value, list | tuple) and len(value) > LONGEST_REPEATED
