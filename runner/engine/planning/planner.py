"""Makes the plan of one run from a pipeline and the given values."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.planning.run_params import with_params
from headrace.model.pipeline import Pipeline
from headrace.model.plan import Plan, PlannedJob
from headrace.model.status import Trigger
from headrace.plan.expand import ExpandDefaults, expand
from headrace.plan.params import resolve_params
from headrace.plan.variables import run_variables
from headrace.template.values import render_value


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
            zone=timezone,
        )
        plan = expand(
            pipeline,
            params=resolved,
            logical_date=logical_date,
            render=render_value,
            run_context=context,
            defaults=self._defaults,
            referring=self._registry.referring,
            in_sql=self._registry.in_sql,
        )
        return self._whole(plan, pipeline)

    def _whole(self, plan: Plan, pipeline: Pipeline) -> Plan:
        return replace(
            plan,
            jobs=tuple(self._with_params(job, plan.params) for job in plan.jobs),
            folder=self._pipelines.folder_of(pipeline),
            notify=pipeline.notify,
            expected=pipeline.expectations(),
        )

    def _with_params(self, job: PlannedJob, params: Mapping[str, Any]) -> PlannedJob:
        # What stands for jobs of items gives them theirs when it makes them.
        if job.foreach is not None:
            return job
        payload = with_params(
            self._registry, job.job_class, job.payload, params, of_item=job.step.endswith("]")
        )
        return job if payload is job.payload else replace(job, payload=payload)
