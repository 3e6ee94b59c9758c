"""Rules for templates and conditions."""

from collections.abc import Iterator, Mapping

from headrace.declarations.draft import Draft, DraftStep, Finding
from headrace.declarations.rules import template_names
from headrace.declarations.source import KeyPath
from headrace.declarations.template_references import (
    References,
    is_template,
    of_condition,
    references,
)
from headrace.errors.suggestions import did_you_mean
from headrace.template.checking import BRACES_HINT, Fault, check_expression, check_value
from headrace.template.shapes import Shape

__all__ = ["BRACES_HINT"]

_EXPRESSION_HINT = (
    "write one expression, such as params.day.day != 1 or steps.load.result.row_count > 0"
)


def templates_refer_to_what_there_is(draft: Draft) -> Iterator[Finding]:
    """Templates are well-formed, and use declared parameters and steps that come before."""
    above = _above(draft)
    for path, value, step in _templates(draft):
        used = references(value)
        if path[0] == "params":
            yield from _unknown_params(draft, path, used, above=str(path[1]))
        elif not _is_sql(path, step):  # There `params` are the job's own.
            yield from _unknown_params(draft, path, used)
        if step and not _is_sql(path, step):
            yield from _steps_not_before(step, path, used, above)


def templates_can_be_rendered(draft: Draft) -> Iterator[Finding]:
    """Templates use names, filters and types that no run refuses."""
    for path, value, step in _templates(draft):
        hints: dict[str, str] = {}
        if step is None and path[0] == "params":
            variables = template_names.of_default(draft, str(path[1]))
        elif step is None:
            variables = template_names.of_all_steps(draft)
        elif _is_sql(path, step):
            # Rendered by the job itself, with names of its own.
            fault = references(value).fault
            if fault:
                message = f"this is not a valid template: {fault.rstrip('.')}"
                yield Finding(path, "bad-template", message, BRACES_HINT)
            continue
        else:
            within = path[len(step.path) :]
            item = within[0] != "foreach"
            variables = template_names.of_step(draft, step, item=item)
            hints = _no_item(step) if not item else {}
        checked = check_value(value, variables, hints)
        yield from _found(path, checked.faults)
        yield from _unfit(path, checked.shape, step)


def _unfit(path: KeyPath, shape: Shape, step: DraftStep | None) -> Iterator[Finding]:
    """Yield where a value cannot be of the type that its place takes."""
    kind = "a mapping" if shape.members is not None and not shape.open else shape.kind
    if not kind:
        return
    within = path[len(step.path) :] if step else path[1:]
    if within[:1] == ("env",) and kind in ("a list", "a mapping", "null"):
        message = f"an environment variable contains text, not {kind}"
        yield Finding(path, "wrong-type", message, "join a list: … | join(','), or … | tojson")
    elif within == ("foreach", "items") and kind != "a list":
        message = f"a foreach needs a list of items, not {kind}"
        yield Finding(path, "bad-items", message, "declare the parameter as type: list")


def _found(path: KeyPath, faults: tuple[Fault, ...]) -> Iterator[Finding]:
    for code, message, hint, line, word in faults:
        yield Finding(path, code, message, hint, False, line, word)


def items_stand_apart_from_steps(draft: Draft) -> Iterator[Finding]:
    """A text refers to the item or to steps, not to both, if the items are known at the start."""
    for path, value, step in _templates(draft):
        foreach = step.data.get("foreach") if step else None
        if step is None or not isinstance(foreach, dict) or _is_sql(path, step):
            continue
        items = foreach.get("items")
        if path[len(step.path)] == "foreach" or "steps" in references(str(items)).names:
            continue
        names = references(value).names
        if {"steps", template_names.item_name(foreach)} <= names:
            message = f"{step.label}: one value cannot refer to both the foreach item and `steps`"
            hint = "split it into two values; or take the items from `steps`, too"
            yield Finding(path, "bad-template", message, hint)


def conditions_are_expressions(draft: Draft) -> Iterator[Finding]:
    """A `when` is one expression over declared parameters and steps that come before."""
    above = _above(draft)
    for step in draft.all_steps:
        text, path = step.text("when"), (*step.path, "when")
        if not text:
            continue
        used = of_condition(text)
        if used.fault:
            fault = used.fault.rstrip(".") if text.strip() else "it is empty"
            message = f'the "when" of {step.label} is not an expression: {fault}'
            yield Finding(path, "bad-expression", message, _EXPRESSION_HINT)
            continue
        yield from _unknown_params(draft, path, used)
        yield from _steps_not_before(step, path, used, above)
        variables = template_names.of_step(draft, step, item=False, when=True)
        yield from _found(path, check_expression(text, variables, _no_item(step)).faults)


def _templates(draft: Draft) -> Iterator[tuple[KeyPath, str, DraftStep | None]]:
    """Yield each template with its path and the step that it stands in."""
    steps = {step.path: step for step in draft.all_steps}
    for path, value in draft.values():
        if is_template(value):
            yield path, value, steps.get(path[:2]) or steps.get(path[:3])


def _is_sql(path: KeyPath, step: DraftStep | None) -> bool:
    """Return whether a value is rendered by the job itself."""
    if step is None or "pipeline" in step.data:
        return False
    return path[len(step.path) :][:2] == ("with", "sql")


def _no_item(step: DraftStep) -> dict[str, str]:
    """Return what to say where the item of a foreach is named and has no value."""
    foreach = step.data.get("foreach")
    if not isinstance(foreach, dict):
        return {}
    hint = "the item is available only in `with` and `env`"
    return {template_names.item_name(foreach): hint}


def templates_keep_to_their_values(draft: Draft) -> Iterator[Finding]:
    """Names of a step template's parameters are known in its step only."""
    texts = [(path, value, False) for path, value in draft.values() if is_template(value)]
    texts += [((*step.path, "when"), step.text("when") or "", True) for step in draft.all_steps]
    for path, text, expression in texts:
        # SQL is rendered by the job itself, and may have a value of this name.
        in_sql = "sql" in path and path[path.index("sql") - 1] == "with"
        if not in_sql and speaks_of_templates(text, expression=expression):
            message = "{{ template.NAME }} is available only in the step of a template"
            hint = "write {{ params.NAME }} for a parameter of the run"
            yield Finding(path, "unknown-param", message, hint)


def speaks_of_templates(text: str, *, expression: bool) -> bool:
    """Return whether a template, or a bare expression, names `template`."""
    if "template" not in text or (not expression and not is_template(text)):
        return False
    return (of_condition(text) if expression else references(text)).of_template


def items_have_a_name_of_their_own(draft: Draft) -> Iterator[Finding]:
    """The item of a foreach hides no other variable, and its items are a list."""
    for step in draft.all_steps:
        foreach = step.data.get("foreach")
        if not isinstance(foreach, dict):
            continue
        path = (*step.path, "foreach")
        if foreach.get("as") in ("params", "run", "steps", "template"):
            message = f'the item of {step.label} cannot be called "{foreach["as"]}"'
            yield Finding((*path, "as"), "bad-name", message, "templates use this name already")
        items = foreach.get("items")
        if isinstance(items, str) and items and not is_template(items):
            message = f"the foreach of {step.label} needs a list of items, or a template of one"
            hint = 'write a list, or the template of one as "{{ params.regions }}"'
            yield Finding((*path, "items"), "bad-items", message, hint)


def _unknown_params(
    draft: Draft, path: KeyPath, used: References, *, above: str | None = None
) -> Iterator[Finding]:
    declared = draft.mapping("params")
    for name in sorted(used.params - set(declared)):
        hint = did_you_mean(name, declared, listed_as="declared parameters")
        hint = hint or f"declare it: params: {{{name}: {{default: …}}}}"
        yield Finding(path, "unknown-param", f'unknown parameter "params.{name}"', hint)
    order = list(declared)
    if above is not None and above in declared:
        for name in sorted(used.params & set(order[order.index(above) :])):
            message = f'the default of parameter "{above}" refers to "params.{name}", not above it'
            yield Finding(path, "unknown-param", message, "declare that parameter first")


def _steps_not_before(
    step: DraftStep, path: KeyPath, used: References, above: Mapping[str, set[str]]
) -> Iterator[Finding]:
    # A handler runs after all steps; it may not speak of other handlers.
    before = set(above) if step.is_handler else above.get(step.id or "", set())
    for name in sorted(used.steps - before):
        if name in above:
            message = f'{step.label} refers to step "{name}", which may not have ended by then'
            hint = f"add {name} to its depends_on"
            if step.starts_at_once:
                hint = "with the trigger rule `always` it waits for no step; choose another rule"
            if name == step.id:
                message, hint = f"{step.label} refers to itself", "refer to an earlier step"
            yield Finding(path, "step-not-before", message, hint)
        else:
            hyphened = next((one for one in above if one.startswith(f"{name}-")), None)
            hint = did_you_mean(name, before or above, listed_as="steps")
            if hyphened is not None:
                hint = f"a name with a hyphen is written steps['{hyphened}']"
            hint = hint or "steps.ID refers to a step that has ended by then, but there is none"
            yield Finding(path, "unknown-step", f'unknown step "steps.{name}"', hint)


def _above(draft: Draft) -> dict[str, set[str]]:
    """Return the steps that have ended before each one starts: all above it."""
    needs = {
        step.id: [] if step.starts_at_once else [name for _, name in step.dependencies()]
        for step in draft.steps
        if step.id is not None
    }
    wanted = {step.id for step in draft.steps if _speaks_of_steps(step)}
    return {name: _reach(name, needs) if name in wanted else set() for name in needs}


def _speaks_of_steps(step: DraftStep) -> bool:
    # A plain look: of ten thousand steps in a chain, few speak of others.
    said = (step.data.get("when"), step.data.get("foreach"), step.with_, step.env)
    return any("steps" in str(one) for one in said)


def _reach(start: str, needs: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    left = list(needs[start])
    while left:
        name = left.pop()
        if name in needs and name not in found:
            found.add(name)
            left += needs[name]
    return found - {start}
