"""Pipelines that Hypothesis makes: graphs with rules, conditions, items, retries, handlers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
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
        # With one of these rules the others above need not have ended, nor the source with them.
        early = step.rule.startswith("one_") and len(below) > 1 and not when
        sources = [one.id for one in above if one.id in plain and not one.child and not early]
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
        number = draw(st.sampled_from([0, 0, 1, 2]))
        made += [draw(steps_(one, above, handler)) for one in range(number)]
    return made


def lay_out(project: Path, made: Mapping[str, list[Step]]) -> None:
    """Write the files of pipelines, and of those that their steps run; tries are counted beside."""
    folder, counted = project / "pipelines", project / "tries"
    for one in (folder, counted):
        one.mkdir(exist_ok=True)
    children = {name: [Step("s", at=at)] for name, at in CHILDREN.items()}
    for name, steps in {**children, **made}.items():
        file = folder / f"{name}.yaml"
        if not file.exists():
            document = _document(name, steps, counted / name)
            file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def tries(project: Path, name: str, steps: Iterable[str]) -> dict[str, int]:
    """Return how often each of these jobs has been tried."""
    files = {step: project / "tries" / f"{name}-{step}" for step in steps}
    return {step: file.stat().st_size if file.exists() else 0 for step, file in files.items()}


def _document(name: str, steps: list[Step], counted: Path) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": name,
        "params": {"yes": {"type": "boolean", "default": True}},
        "steps": [_written(step, counted) for step in steps if not step.handler],
    }
    handlers: dict[str, list[Any]] = {}
    for step in steps:
        if step.handler:
            handlers.setdefault(step.handler, []).append(_written(step, counted))
    return written | ({"handlers": handlers} if handlers else {})


def _written(step: Step, counted: Path) -> dict[str, Any]:
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
        items = _listed(step.items)
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
    one: dict[str, Any] = {"at": step.at, "tries": f"{counted}-{step.id}"}
    if step.items is not None:
        one = {"at": "{{ item.at }}", "tries": f"{counted}-{step.id}{{{{ item.of }}}}"}
    return written | {"with": {**one, "items": _listed(step.gives)}}


def _listed(items: tuple[int, ...]) -> list[dict[str, Any]]:
    return [{"at": at, "of": f"[{index}]"} for index, at in enumerate(items)]
