"""Provides the parameters that a trigger takes from runs that have ended."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from headrace.engine.planning.template_context import run_context
from headrace.model.duration import format_duration
from headrace.model.pipeline import Pipeline, PipelineTrigger
from headrace.model.status import RUN_FINAL, Trigger
from headrace.plan.params import from_template
from headrace.plan.variables import run_variables
from headrace.store.row_types import UpstreamRun
from headrace.template.values import render_value


def statuses_of(trigger: PipelineTrigger) -> list[str]:
    """Return the statuses of a run that counts."""
    return sorted(RUN_FINAL) if trigger.on == "ended" else [trigger.on]


def given_params(
    pipeline: Pipeline, upstream: Mapping[str, UpstreamRun], last: UpstreamRun
) -> dict[str, Any]:
    """Return the parameters that a trigger gives, its templates rendered.

    `upstream` has the rows of the runs that have ended, by their pipelines, `last` that of the
    one whose logical date the new run has.

    Raises:
        TemplateError, ValueError: A value cannot be rendered, or not be brought near its type.
    """
    written = pipeline.trigger.with_ if pipeline.trigger else {}
    context = {"trigger": str(Trigger.PIPELINE), "timezone": last["timezone"]}
    variables = {
        "upstream": {name: _upstream_variables(row) for name, row in upstream.items()},
        "run": run_variables(pipeline, last["logical_date"], context),
    }
    declared = {param.name: param for param in pipeline.params}
    rendered = render_value(written, variables, name="trigger.with")
    return {
        name: from_template(declared[name], value)
        if name in declared and value != written[name]
        else value
        for name, value in rendered.items()
    }


def _upstream_variables(row: UpstreamRun) -> dict[str, Any]:
    context = run_context(row)
    return {
        "params": context["params"],
        "logical_date": context["run"]["logical_date"],
        "status": row["status"],
        "run": str(row["id"]),
    }


def trigger_row(trigger: PipelineTrigger | None) -> dict[str, Any] | None:
    """Return a trigger in the YAML's words."""
    if trigger is None:
        return None
    row = {"with" if key == "with_" else key: value for key, value in asdict(trigger).items()}
    return {**row, "text": trigger_text(trigger)}


def trigger_text(trigger: PipelineTrigger) -> str:
    """Return a trigger as a person says it: `after load_orders`."""
    first, last = trigger.pipelines[:-1], trigger.pipelines[-1]
    text = f"after {', '.join(first)} and {last}" if first else f"after {last}"
    if trigger.on != "completed":
        text += {"failed": " failed", "ended": " ended"}[trigger.on]
    return f"{text} within {format_duration(trigger.window_s)}" if first else text
