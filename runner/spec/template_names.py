"""What the templates of a pipeline file may speak of, place by place.

One table for all: a name that a run knows and this table does not is refused before it runs.
"""

from collections.abc import Collection, Mapping

from runner.model.status import FINAL, JobStatus, Trigger
from runner.spec.draft import Draft, DraftStep
from runner.template.shapes import (
    ANY,
    HIDDEN,
    TEXT,
    Shape,
    mapping_of,
    of_param,
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
    return {"params": params, "run": _run(handler=False), **_TOLD_ELSEWHERE}


def of_all_steps(draft: Draft) -> Variables:
    """Return what a variable of all steps may speak of."""
    params = _params(draft.mapping("params"))
    told = {"steps": HIDDEN, **_TOLD_ELSEWHERE}
    return {"params": params, "run": _run(handler=False), **told}


def of_trigger() -> Variables:
    """Return what a trigger may speak of; which upstream runs there are is told elsewhere."""
    elsewhere = {"upstream": ANY, "params": HIDDEN, "steps": HIDDEN, **_TOLD_ELSEWHERE}
    return {"run": _run(handler=False), **elsewhere}


def of_step(draft: Draft, step: DraftStep, *, item: bool, when: bool = False) -> Variables:
    """Return what a step's values may speak of: with `item` also of that of its foreach."""
    variables = {
        "params": _params(draft.mapping("params")),
        "run": _run(handler=step.is_handler),
        "steps": _steps(draft, _FINAL_STATUS if when else _ANY_STATUS),
        **_TOLD_ELSEWHERE,
    }
    foreach = step.data.get("foreach")
    if item and isinstance(foreach, Mapping):
        variables[item_name(foreach)] = _item(foreach)
    return variables


def item_name(foreach: Mapping[str, object]) -> str:
    """Return what templates call the item."""
    name = foreach.get("as")
    return name if isinstance(name, str) else "item"


def _item(foreach: Mapping[str, object]) -> Shape:
    items = foreach.get("items")
    return of_value(items).item or ANY if isinstance(items, list) and items else ANY


def _params(declared: Mapping[str, object]) -> Shape:
    # One that is not declared is told by a rule of its own.
    members = {name: of_param(one, f"params.{name}") for name, one in declared.items()}
    return Shape({}, members=members, name="params", open=True)


def _run(*, handler: bool) -> Shape:
    members = {
        "pipeline": TEXT,
        "trigger": one_of(map(str, Trigger)),
        "logical_date": of_param({"type": "datetime"}, "run.logical_date"),
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


def _steps(draft: Draft, statuses: Collection[str]) -> Shape:
    steps: dict[str, Shape] = {}
    for step in draft.steps:
        if step.id is not None and step.id not in steps:
            name = f"steps.{step.id}" if step.id.isidentifier() else f"steps['{step.id}']"
            status = one_of(statuses, f"{name}.status")
            result = _result(draft, step, f"{name}.result")
            members = {"status": status, "result": result, "error": ANY}
            steps[step.id] = mapping_of(members, name)
    return Shape({}, members=steps, name="steps", open=True)


def _result(draft: Draft, step: DraftStep, name: str) -> Shape:
    keys: Collection[str] | None = None
    if "pipeline" in step.data:
        keys = ("run", "status")
    elif job := step.text("job"):
        keys = draft.catalogue.result_keys(job)
    one = ANY if keys is None else mapping_of(dict.fromkeys(keys, ANY), name)
    return Shape([], item=one, name=name) if isinstance(step.data.get("foreach"), dict) else one
