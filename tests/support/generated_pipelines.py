"""Pipelines that Hypothesis makes: graphs with rules, conditions, items, retries, pools, handlers."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

RULES = (
    *("all_success", "all_done", "all_failed", "one_success", "one_failed", "one_done"),
    *("none_failed", "none_failed_min_one_success", "always"),
)
NEVER = 9
CHILDREN = {"good": 1, "bad": NEVER}


@dataclass(frozen=True, slots=True)
class Step:
    """A step. Each `at` is the try that succeeds; a `child` is a pipeline, good or bad.

    `when`: '', 'yes', 'no', or the step above that must have completed. `items`: the `at` or the
    child of each item; they come from the result of the step `source`, where there is one.
    `gives`: the items that its own result has.
    """

    id: str
    depends_on: tuple[str, ...] = ()
    rule: str = "all_success"
    when: str = ""
    allow_failure: bool = False
    at: int = 1
    retries: int = 0
    child: bool = False
    items: tuple[int, ...] | None = None
    source: str = ""
    gives: tuple[int, ...] = ()
    pool: bool = False
    at_a_time: int | None = None
    handler: str = ""


_ats = st.sampled_from([1, 1, 1, 2, 3, NEVER])
_items = st.lists(_ats, max_size=3).map(tuple)


@st.composite
def steps_(draw: st.DrawFn, number: int, above: list[Step], handler: str = "") -> Step:
    name = f"{handler or 's'}{number}"
    names = [step.id for step in above]
    below = () if handler else tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=4)
                                          if names else st.just([])))  # fmt: skip
    plain = [one.id for one in above if one.items is None and (handler or one.id in below)]
    step = Step(
        name, below,
        rule=draw(st.sampled_from(RULES)) if below else "all_success",
        allow_failure=draw(st.integers(0, 4)) == 0,
        at=draw(_ats), retries=draw(st.integers(0, 2)), child=draw(st.integers(0, 5)) == 0,
        gives=draw(_items), handler=handler,
    )  # fmt: skip
    if step.rule == "always":
        plain = []
    when = draw(st.sampled_from(["", "", "yes", "no", *plain[:2]]))
    step = replace(step, when=when)
    if draw(st.integers(0, 3)) == 0:
        sources = [one.id for one in above if one.id in plain and not one.child]
        source = draw(st.sampled_from(["", *sources]))
        own = next((one.gives for one in above if one.id == source), None)
        step = replace(
            step, items=draw(_items) if own is None else own, source=source,
            at_a_time=draw(st.sampled_from([None, 1, 2])),
        )  # fmt: skip
    if step.child:
        return replace(step, retries=0)
    pool = step.at_a_time is None and draw(st.integers(0, 4)) == 0
    return replace(step, pool=pool)


@st.composite
def pipelines(draw: st.DrawFn) -> list[Step]:
    """Return the steps of a pipeline in an order in which each follows what it depends on."""
    made: list[Step] = []
    for number in range(draw(st.integers(1, 8))):
        made.append(draw(steps_(number, made)))
    above = list(made)
    for handler in ("success", "failure", "finally"):
        for number in range(draw(st.sampled_from([0, 0, 1, 2]))):
            made.append(draw(steps_(number, above, handler)))
    return made


def document(name: str, steps: list[Step], tries: Path) -> dict[str, Any]:
    """Return the pipeline as its file has it; below `tries` the jobs count theirs."""
    written: dict[str, Any] = {
        "name": name,
        "params": {"yes": {"type": "boolean", "default": True}},
        "steps": [_written(step, tries / name) for step in steps if not step.handler],
    }
    handlers: dict[str, list[Any]] = {}
    for step in steps:
        if step.handler:
            handlers.setdefault(step.handler, []).append(_written(step, tries / name))
    return written | ({"handlers": handlers} if handlers else {})


def children(tries: Path) -> dict[str, dict[str, Any]]:
    """Return the pipelines that steps run: one that completes, and one that fails."""
    return {name: document(name, [Step("s", at=at)], tries) for name, at in CHILDREN.items()}


def _written(step: Step, tries: Path) -> dict[str, Any]:
    written: dict[str, Any] = {"id": step.id, "allow_failure": step.allow_failure}
    if not step.handler:
        written["depends_on"] = list(step.depends_on)
    if step.depends_on:
        written["trigger_rule"] = step.rule
    if step.when:
        written["when"] = {"yes": "params.yes", "no": "not params.yes"}.get(
            step.when, f"steps.{step.when}.status == 'completed'"
        )
    if step.items is not None:
        items = [{"at": at, "name": f"{step.id}-{n}"} for n, at in enumerate(step.items)]
        given = f"{{{{ steps.{step.source}.result.items }}}}" if step.source else items
        written["foreach"] = {"items": given}
        if step.at_a_time is not None:
            written["foreach"]["max_concurrent"] = step.at_a_time
    if step.child:
        # No template may choose a pipeline, so all items run the same one.
        return written | {"pipeline": "good" if step.at == 1 else "bad"}
    written |= {"job": "tests.support.jobs_generated.Does",
                "retry": {"limit": step.retries, "delay": "0s"}}  # fmt: skip
    if step.pool:
        written["pool"] = "narrow"
    one = {"at": step.at, "tries": f"{tries}-{step.id}"}
    if step.items is not None:
        one = {"at": "{{ item.at }}", "tries": f"{tries}-{step.id}-{{{{ item.name }}}}"}
    given = [{"at": at, "name": str(n)} for n, at in enumerate(step.gives)]
    return written | {"with": {**one, "items": given}}
