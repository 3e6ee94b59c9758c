"""Names that the templates of a pipeline file may use, by place.

One table for all: a name that a run knows and this table does not is refused before it runs.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from headrace.declarations.draft import Draft, DraftStep
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.template_references import is_template
from headrace.model.status import FINAL, JobStatus, Trigger
from headrace.template.checking import check_value
from headrace.template.shapes import (
    ANY,
    HIDDEN,
    TEXT,
    Shape,
    as_json,
    mapping_of,
    of_param,
    of_type,
    of_value,
    one_of,
)

Variables = dict[str, Shape]

# How the steps of a run have ended, as its handlers know it.
_OUTCOMES = ("completed", "failed", "cancelled")
# A step of `depends_on` may still be under way where the trigger rule lets another one run.
_ANY_STATUS = tuple(map(str, JobStatus))
_FINAL_STATUS = tuple(sorted(map(str, FINAL)))

# Known in a step template only: see `templates_keep_to_their_values`.
_TOLD_ELSEWHERE = {"template": HIDDEN}


def of_default(draft: Draft, name: str) -> Variables:
    """Return what a parameter's default may speak of: the run, and the parameters above it."""
    declared = draft.mapping("params")
    above = list(declared)[: list(declared).index(name)]
    params = _params({one: declared[one] for one in above})
    return {"params": params, "run": of_run(handler=False), **_TOLD_ELSEWHERE}


def of_all_steps(draft: Draft) -> Variables:
    """Return what a variable of all steps may speak of."""
    params = _params(draft.mapping("params"))
    told = {"steps": HIDDEN, **_TOLD_ELSEWHERE}
    return {"params": params, "run": of_run(handler=False), **told}


def of_trigger() -> Variables:
    """Return what a trigger may speak of; which upstream runs there are is checked elsewhere."""
    elsewhere = {"upstream": ANY, "params": HIDDEN, "steps": HIDDEN, **_TOLD_ELSEWHERE}
    return {"run": of_run(handler=False), **elsewhere}


def of_step(draft: Draft, step: DraftStep, *, item: bool, when: bool = False) -> Variables:
    """Return what a step's values may speak of: with `item` also of that of its foreach."""
    # The rules ask for each template of a file: what they are told is made once.
    params, steps = draft.once(_params_of), draft.once(_in_condition if when else _in_values)
    variables = {
        "params": params,
        "run": of_run(handler=step.is_handler),
        "steps": steps,
        **_TOLD_ELSEWHERE,
    }
    foreach = step.data.get("foreach")
    if item and isinstance(foreach, Mapping):
        variables[item_name(foreach)] = of_item(foreach.get("items"), variables)
    return variables


def _params_of(draft: Draft) -> Shape:
    return _params(draft.mapping("params"))


def _in_values(draft: Draft) -> Shape:
    return of_steps(_said(draft), draft.catalogue, when=False)


def _in_condition(draft: Draft) -> Shape:
    return of_steps(_said(draft), draft.catalogue, when=True)


class Said(NamedTuple):
    """The keys of a step on which the shape of its result depends.

    `job` is None for a step that runs a pipeline, or that has no job.
    """

    id: str
    job: str | None
    pipeline: bool = False
    foreach: bool = False


def _said(draft: Draft) -> Iterable[Said]:
    for step in draft.steps:
        if step.id is not None:
            foreach = isinstance(step.data.get("foreach"), dict)
            yield Said(step.id, step.text("job"), "pipeline" in step.data, foreach)


def item_name(foreach: Mapping[str, object]) -> str:
    """Return what templates call the item."""
    name = foreach.get("as")
    return name if isinstance(name, str) else "item"


def of_item(items: Any, variables: Variables) -> Shape:
    """Return what the items of a foreach have in common: of a list, or of what a template gives."""
    if is_template(items):
        return as_json(check_value(items, variables).shape.item or ANY)
    return of_value(items).item or ANY if isinstance(items, list) and items else ANY


def _params(declared: Mapping[str, object]) -> Shape:
    # One that is not declared is told by a rule of its own.
    members = {name: of_param(one, f"params.{name}") for name, one in declared.items()}
    return Shape({}, members=members, name="params", open=True)


@cache
def of_run(*, handler: bool) -> Shape:
    """Return what is known of the run, in a handler of its end, too."""
    members = {
        "pipeline": TEXT,
        "trigger": one_of(map(str, Trigger)),
        "logical_date": of_param({"type": "datetime"}, "run.logical_date"),
        "date": of_param({"type": "date"}, "run.date"),
    }
    if handler:
        members |= {
            "id": TEXT,
            "status": one_of(_OUTCOMES, "run.status"),
            "started_at": of_param({"type": "datetime"}, "run.started_at"),
            "duration_s": Shape(1.5),
            "failed_steps": Shape([], item=TEXT, name="run.failed_steps"),
        }
    return mapping_of(members, "run")


def of_steps(steps: Iterable[Said], catalogue: Catalogue, *, when: bool) -> Shape:
    """Return what is known of a run's steps; in a condition all above it have ended."""
    found: dict[str, Shape] = {}
    for step in steps:
        if step.id not in found:
            name = f"steps.{step.id}" if step.id.isidentifier() else f"steps['{step.id}']"
            status = one_of(_FINAL_STATUS if when else _ANY_STATUS, f"{name}.status")
            result = _result(step, catalogue, f"{name}.result")
            members = {"status": status, "result": result, "error": ANY}
            found[step.id] = mapping_of(members, name)
    return Shape({}, members=found, name="steps", open=True)


def _result(step: Said, catalogue: Catalogue, name: str) -> Shape:
    keys: Collection[str] | Mapping[str, type] | None = None
    if step.pipeline:
        keys = {"run": str, "status": str}
    elif step.job:
        keys = catalogue.result_keys(step.job)
    one = ANY
    if keys is not None:
        types = keys if isinstance(keys, Mapping) else {}
        one = mapping_of({key: of_type(types.get(key), f"{name}.{key}") for key in keys}, name)
    return Shape([], item=one, name=name) if step.foreach else one
