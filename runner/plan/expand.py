"""A pipeline and its parameters become a plan: every job of one run, ready to be stored."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from runner.errors import HeadraceError, TemplateError
from runner.model.pipeline import Pipeline, Step
from runner.model.plan import Plan, PlannedJob
from runner.model.retry import RetryPolicy
from runner.plan.graph import topological_order
from runner.plan.variables import run_variables

Render = Callable[[Any, Mapping[str, Any]], Any]

# A template that speaks of other steps' results, `{{ steps.load.result }}`, has no value yet.
_LATER = re.compile(r"\{[{%](?:(?![}%]\}).)*?(?<![\w.'\"])steps\s*[.\[]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ExpandDefaults:
    """What holds for a step that does not say otherwise. `timeout_s` is in seconds."""

    queue: str = "medium"
    timeout_s: float = 300.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)


def sql_is_verbatim(_job: str) -> Collection[str]:
    """Return the keys of `with` that are templates of their own: by default `sql`.

    Rendered here as text, a value would become SQL; the job binds it instead.
    """
    return ("sql",)


def expand(
    pipeline: Pipeline,
    *,
    params: Mapping[str, Any],
    logical_date: datetime,
    render: Render,
    run_context: Mapping[str, Any] | None = None,
    defaults: ExpandDefaults | None = None,
    verbatim: Callable[[str], Collection[str]] = sql_is_verbatim,
) -> Plan:
    """Return the jobs of one run in an order in which each follows what it depends on.

    `params` are resolved already; `render(value, variables)` renders one template;
    `run_context` adds to the variables of `run.`. Values over `steps.` stay and make jobs late.

    Raises:
        TemplateError: values that cannot be rendered, all of them, each with its place.
        ValueError: the steps form a cycle.
    """
    defaults = defaults or ExpandDefaults()
    variables = {
        "params": dict(params),
        "run": run_variables(pipeline, logical_date, run_context or {}),
    }
    payloads: dict[str, tuple[dict[str, Any], bool]] = {}
    problems: list[str] = []
    for step in pipeline.steps:
        rendering = _Rendering(step, variables, render, problems)
        payloads[step.id] = (rendering.payload(frozenset(verbatim(step.job))), rendering.late)
    if problems:
        raise TemplateError("\n".join(problems))
    steps = {step.id: step for step in pipeline.steps}
    order = topological_order({name: step.depends_on for name, step in steps.items()})
    return Plan(
        pipeline=pipeline.name,
        version=pipeline.version,
        params=dict(params),
        logical_date=logical_date,
        jobs=tuple(_planned(steps[name], *payloads[name], defaults) for name in order),
    )


def render_late(
    job: str,
    payload: Mapping[str, Any],
    variables: Mapping[str, Any],
    render: Render,
    verbatim: Callable[[str], Collection[str]] = sql_is_verbatim,
) -> dict[str, Any]:
    """Return the payload of a late job with the rest of its templates rendered.

    Only values over `steps.` are: what `expand` has rendered is data by now, and what it has
    left to the job still is the job's. `variables` are `params`, `run` and `steps`.

    Raises:
        TemplateError: a value cannot be rendered.
    """

    def rendered(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: rendered(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rendered(item) for item in value]
        late = isinstance(value, str) and _LATER.search(value)
        return plain(render(value, variables)) if late else value

    kept = frozenset(verbatim(job))
    return {key: value if key in kept else rendered(value) for key, value in payload.items()}


def _planned(
    step: Step, payload: Mapping[str, Any], late: bool, defaults: ExpandDefaults
) -> PlannedJob:
    return PlannedJob(
        step=step.id,
        job_class=step.job,
        payload=payload,
        queue=step.queue or defaults.queue,
        retry=defaults.retry if step.retry is None else step.retry,
        timeout_s=defaults.timeout_s if step.timeout_s is None else step.timeout_s,
        depends_on=tuple(step.depends_on),
        trigger_rule=step.trigger_rule,
        late=late,
    )


class _Rendering:
    """The rendering of one step's `with`, which gathers every problem and goes on."""

    def __init__(
        self, step: Step, variables: Mapping[str, Any], render: Render, problems: list[str]
    ) -> None:
        self.late = False
        self._step = step
        self._variables = variables
        self._render = render
        self._problems = problems

    def payload(self, verbatim: frozenset[str]) -> dict[str, Any]:
        return {
            key: plain(value) if key in verbatim else self._value(value, f"with.{key}")
            for key, value in self._step.with_.items()
        }

    def _value(self, value: Any, place: str) -> Any:
        if isinstance(value, Mapping):
            return {str(key): self._value(item, f"{place}.{key}") for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item, f"{place}[{i}]") for i, item in enumerate(value)]
        if not isinstance(value, str):
            return plain(value)
        if _LATER.search(value):
            self.late = True
            return value
        try:
            return plain(self._render(value, self._variables))
        except HeadraceError as error:
            self._problems.append(f'step "{self._step.id}", {place}: {error}')
            return None


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: dates and times as ISO 8601 texts."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)
