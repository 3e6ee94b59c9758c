"""Finds what fails in a run that is given no value for a parameter whose default is null."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from headrace.declarations.source import KeyPath
from headrace.declarations.template_references import scalars
from headrace.engine.explain.known_values import Known
from headrace.engine.explain.step_shapes import StepShapes
from headrace.model.pipeline import Pipeline, Step
from headrace.plan.deferred_values import speaks_later
from headrace.plan.expand import sql_is_verbatim
from headrace.template.braces import has_template
from headrace.template.checking import Fault, check_expression, check_value
from headrace.template.shapes import ANY, Shape, mapping_of, of_value
from headrace.template.syntax import reading, reading_of_expression

_HINT = "give {0} a default, or declare it `required: true`; or test first whether {0} is none"


def faults_of_null(
    pipeline: Pipeline, step: Step, shapes: StepShapes, known: Known
) -> Iterator[tuple[KeyPath, Fault]]:
    """Yield what in the templates of a step fails for the nulls of a run that is given nothing.

    What asks first, `params.day and params.day.year`, does not.
    """
    nulls = frozenset(name for name, value in known.params.items() if value is None)
    if not nulls:
        return
    for path, text, expression in _evaluated(step, known):
        used = _spoken_of(text, nulls, expression=expression)
        if not used:
            continue
        check = check_expression if expression else check_value
        variables = shapes.of_condition(step) if expression else shapes.of_step(step)
        found = check(text, {**variables, "params": _params(pipeline, known, nulls, of_null=True)})
        others = check(
            text, {**variables, "params": _params(pipeline, known, nulls, of_null=False)}
        )
        for fault in found.faults:
            if fault not in others.faults:
                message = f"{fault.message} ({_said_of(used)})"
                yield path, fault._replace(message=message, hint=_hint(used))


def told_of_null(value: Any, known: Known) -> tuple[str, str] | None:
    """Return what to add to a refusal, and the hint, where a null parameter is handed on."""
    nulls = frozenset(name for name, given in known.params.items() if given is None)
    used = _spoken_of(value, nulls) if nulls and has_template(value) else []
    return (_said_of(used), _hint(used)) if used else None


def _spoken_of(text: str, nulls: frozenset[str], *, expression: bool = False) -> list[str]:
    said = reading_of_expression(text) if expression else reading(text)
    return sorted(nulls & {str(chain[0]) for chain in said.of("params")})


def _said_of(names: list[str]) -> str:
    return f"a run that is given no {names[0]} has null there"


def _hint(names: list[str]) -> str:
    return _HINT.format(" and ".join(f"params.{name}" for name in names))


def _evaluated(step: Step, known: Known) -> Iterator[tuple[KeyPath, str, bool]]:
    """Yield the templates that every run evaluates that goes well, and which are conditions."""
    if step.when is not None and known.is_reached(step):
        yield ("when",), step.when, True
    verbatim = sql_is_verbatim(step.job)
    given = {key: value for key, value in step.with_.items() if key not in verbatim}
    places: list[tuple[KeyPath, object]] = [*scalars(given, ()), *scalars(dict(step.env), ("env",))]
    if step.foreach is not None:
        places += scalars(step.foreach.items, ("foreach", "items"))
    for path, value in places:
        # A plan renders the values of all steps; those that wait for others, only what runs.
        if has_template(value) and (
            not speaks_later(value, step.handler) or step.id in known.surely
        ):
            yield path, value, False


def _params(pipeline: Pipeline, known: Known, nulls: frozenset[str], *, of_null: bool) -> Shape:
    members: dict[str, Shape] = {}
    for param in pipeline.params:
        if param.name not in known.params:
            members[param.name] = ANY
        elif param.name in nulls:
            members[param.name] = Shape(None, exact=True) if of_null else ANY
        else:
            members[param.name] = of_value(known.params[param.name])
        members[param.name] = replace(members[param.name], name=f"params.{param.name}")
    return mapping_of(members, "params")
