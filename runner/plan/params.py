"""The parameters of a run: what was given, the defaults for the rest, all checked."""

from collections.abc import Callable, Mapping
from typing import Any

from headrace.errors import HeadraceError, InvalidParams
from headrace.errors.suggestions import did_you_mean
from headrace.model.moments import clock_of
from headrace.model.paramtypes import read as read_value
from headrace.model.paramtypes import violations
from headrace.model.pipeline import Param, Pipeline

Render = Callable[[Any, Mapping[str, Any]], Any]


def resolve_params(
    pipeline: Pipeline,
    given: Mapping[str, Any],
    *,
    render: Render,
    variables: Mapping[str, Any] | None = None,
    zone: str | None = None,
) -> dict[str, Any]:
    """Return a value of its declared type for every declared parameter, in their order.

    Texts are read by the declared type, so that `-p n=3` gives the number. Given values are
    never templates. Defaults may be: `render(default, variables)` renders them, with what
    `variables` holds (see `run_variables` for its `run`) and the parameters resolved before
    as `params`. Times without an offset are on the clock of `zone`, or of the pipeline's own
    schedule. A parameter that is neither given nor required and has no default is None.

    Raises:
        InvalidParams: unknown, missing or wrong parameters, all of them in one message.
    """
    problems = [_unknown(name, pipeline) for name in given if name not in _names(pipeline)]
    resolved: dict[str, Any] = {}
    zone = zone or clock_of(pipeline)
    for param in pipeline.params:
        try:
            if param.name in given:
                value = given[param.name]
            else:
                value = _default(param, render, {**(variables or {}), "params": resolved})
            resolved[param.name] = _checked(param, value, zone)
        except (ValueError, HeadraceError) as error:
            problems.append(f'parameter "{param.name}" {error}')
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise InvalidParams(f'the parameters do not fit pipeline "{pipeline.name}":\n{listed}')
    return resolved


def _names(pipeline: Pipeline) -> list[str]:
    return [param.name for param in pipeline.params]


def _unknown(name: str, pipeline: Pipeline) -> str:
    hint = did_you_mean(name, _names(pipeline), listed_as="known parameters")
    return f'parameter "{name}" is not declared: {hint or "the pipeline has none"}'


def _default(param: Param, render: Render, variables: Mapping[str, Any]) -> Any:
    if param.required:
        raise ValueError(f"is required: a value of type {param.type}")
    if not isinstance(param.default, str):
        return param.default
    rendered = render(param.default, variables)
    return rendered if rendered == param.default else from_template(param, rendered)


def from_template(param: Param, value: Any) -> Any:
    """Bring near its type what a template gave: the value itself, with dates as texts.

    Raises:
        ValueError: It looks like a time and is none.
    """
    if param.type == "string" and value is not None:
        return str(value)
    if param.type == "date" and isinstance(value, str) and "T" in value:
        # A day out of a time, on that time's own clock; a user who gives one must say the day.
        return read_value("datetime", value)
    return value


def _checked(param: Param, value: Any, zone: str) -> Any:
    if value is None and not param.required and param.default is None:
        return None
    value = read_value(param.type, value, zone)
    found = violations(param, value, zone)
    if found:
        raise ValueError("; ".join(found))
    return value
