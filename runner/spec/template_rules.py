"""What templates and conditions have to keep."""

from collections.abc import Iterator, Mapping

from runner.source import KeyPath
from runner.spec.draft import Draft, DraftStep, Finding
from runner.spec.references import References, is_template, references
from runner.suggest import did_you_mean

BRACES_HINT = "an expression stands in {{ }}; {{ '{{' }} writes the braces themselves"
_EXPRESSION_HINT = "write one expression, such as params.day.day != 1 or steps.load.result.rows > 0"
_EMPTY = References(fault="it is empty")


def templates_refer_to_what_there_is(draft: Draft) -> Iterator[Finding]:
    """Templates are well-formed, and use declared parameters and steps that come before."""
    above = _above(draft)
    steps = {step.path: step for step in draft.all_steps}
    for path, value in draft.values():
        if not is_template(value):
            continue
        used = references(value)
        if used.fault:
            message = f"this is no template: {used.fault.rstrip('.')}"
            yield Finding(path, "bad-template", message, BRACES_HINT)
        step = steps.get(path[:2]) or steps.get(path[:3])
        within = path[len(step.path) :] if step else ()
        if within[:2] == ("with", "sql") and step and "pipeline" not in step.data:
            continue  # Rendered by the job itself, where `params` are the job's own.
        yield from _unknown_params(draft, path, used)
        if step:
            yield from _steps_not_before(step, path, used, above)


def conditions_are_expressions(draft: Draft) -> Iterator[Finding]:
    """A `when` is one expression over declared parameters and steps that come before."""
    above = _above(draft)
    for step in draft.all_steps:
        text, path = step.text("when"), (*step.path, "when")
        if not text:
            continue
        inner = text.strip()
        if inner.startswith("{{") and inner.endswith("}}"):
            inner = inner[2:-2]
        # In parentheses: what closes the braces and opens new ones is no expression.
        used = references(f"{{{{ ({inner}\n) }}}}") if inner.strip() else _EMPTY
        if used.fault:
            message = f'the "when" of {step.label} is no expression: {used.fault.rstrip(".")}'
            yield Finding(path, "bad-expression", message, _EXPRESSION_HINT)
            continue
        yield from _unknown_params(draft, path, used)
        yield from _steps_not_before(step, path, used, above)


def templates_keep_to_their_values(draft: Draft) -> Iterator[Finding]:
    """What a step template's parameters are called is known in its step only."""
    texts = [(path, value, False) for path, value in draft.values() if is_template(value)]
    texts += [((*step.path, "when"), step.text("when") or "", True) for step in draft.all_steps]
    for path, text, expression in texts:
        # SQL is rendered by the job itself, and may have a value of this name.
        in_sql = "sql" in path and path[path.index("sql") - 1] == "with"
        if not in_sql and speaks_of_templates(text, expression=expression):
            message = "{{ template.NAME }} has a value in the step of a template only"
            hint = "read a parameter of the run as {{ params.NAME }}"
            yield Finding(path, "unknown-param", message, hint)


def speaks_of_templates(text: str, *, expression: bool) -> bool:
    """Tell whether a template, or a bare expression, names `template`."""
    if "template" not in text or (not expression and not is_template(text)):
        return False
    if expression and not is_template(text):
        text = f"{{{{ ({text}\n) }}}}"
    return references(text).of_template


def items_have_a_name_of_their_own(draft: Draft) -> Iterator[Finding]:
    """The item of a foreach hides no other variable, and its items are a list."""
    for step in draft.all_steps:
        foreach = step.data.get("foreach")
        if not isinstance(foreach, dict):
            continue
        path = (*step.path, "foreach")
        if foreach.get("as") in ("params", "run", "steps", "template"):
            message = f'the item of {step.label} cannot be called "{foreach["as"]}"'
            yield Finding((*path, "as"), "bad-name", message, "templates know it as something else")
        items = foreach.get("items")
        if isinstance(items, str) and items and not is_template(items):
            message = f"the foreach of {step.label} needs a list of items, or a template of one"
            hint = 'write a list, or the template of one as "{{ params.regions }}"'
            yield Finding((*path, "items"), "bad-items", message, hint)


def _unknown_params(draft: Draft, path: KeyPath, used: References) -> Iterator[Finding]:
    declared = draft.mapping("params")
    for name in sorted(used.params - set(declared)):
        hint = did_you_mean(name, declared, listed_as="declared parameters")
        hint = hint or f"declare it: params: {{{name}: {{default: …}}}}"
        yield Finding(path, "unknown-param", f'unknown parameter "params.{name}"', hint)


def _steps_not_before(
    step: DraftStep, path: KeyPath, used: References, above: Mapping[str, set[str]]
) -> Iterator[Finding]:
    # A handler runs after all steps; it may not speak of other handlers.
    before = set(above) if step.is_handler else above.get(step.id or "", set())
    for name in sorted(used.steps - before):
        if name in above:
            message = f'{step.label} speaks of step "{name}", which may not have ended by then'
            hint = f"add {name} to its depends_on"
            if name == step.id:
                message, hint = f"{step.label} speaks of itself", "name a step before it"
            yield Finding(path, "step-not-before", message, hint)
        else:
            hint = did_you_mean(name, before or above, listed_as="steps")
            hint = hint or "steps.ID names a step that has ended by then, and there is none"
            yield Finding(path, "unknown-step", f'unknown step "steps.{name}"', hint)


def _above(draft: Draft) -> dict[str, set[str]]:
    """Return the steps that have ended before each one starts: all above it."""
    needs = {
        step.id: [name for _, name in step.dependencies()]
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
