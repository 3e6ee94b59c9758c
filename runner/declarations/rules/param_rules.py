"""Rules for declared parameters, beyond their schema."""

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.declarations.draft import Draft, Finding
from headrace.declarations.param_values import param_fault
from headrace.declarations.source import KeyPath
from headrace.declarations.template_references import is_template
from headrace.model.paramtypes import READERS, read, violations
from headrace.model.pipeline import Param

_SIZED = ("string", "list")


def constraints_make_sense(draft: Draft) -> Iterator[Finding]:
    """A parameter's enum, pattern, min and max fit its type and each other."""
    for name, param in draft.mapping("params").items():
        if isinstance(param, dict) and str(param.get("type", "string")) in READERS:
            yield from _enum(name, param)
            yield from _pattern(name, param)
            yield from _bounds(name, param)


def _enum(name: str, param: Mapping[str, Any]) -> Iterator[Finding]:
    kind, listed = param.get("type", "string"), param.get("enum")
    if kind == "list" or not isinstance(listed, list):
        return
    for index, value in enumerate(listed):
        fault = param_fault(kind, value)
        if fault:
            message = f'the enum of parameter "{name}" contains {fault}'
            hint = f"the parameter's type is {kind}"
            yield Finding(("params", name, "enum", index), "bad-enum", message, hint)


def _pattern(name: str, param: Mapping[str, Any]) -> Iterator[Finding]:
    kind, pattern = param.get("type", "string"), param.get("pattern")
    path: KeyPath = ("params", name, "pattern")
    if not isinstance(pattern, str):
        return
    if kind != "string":
        message = f'parameter "{name}" is of type {kind}, but a pattern is for strings'
        yield Finding(path, "bad-pattern", message, "remove it, or use enum, min and max", True)
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of what a later Python may read differently.
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        message = f'the pattern of parameter "{name}" is not a regular expression: {error}'
        yield Finding(path, "bad-pattern", message, "see the syntax of Python's module re")


def _bounds(name: str, param: Mapping[str, Any]) -> Iterator[Finding]:
    kind = param.get("type", "string")
    bounds: dict[str, Any] = {}
    for key in ("min", "max"):
        bound = param.get(key)
        if not isinstance(bound, int | float | str) or isinstance(bound, bool):
            continue
        path: KeyPath = ("params", name, key)
        if kind == "boolean":
            message = f'parameter "{name}" is of type boolean, which has no {key}'
            yield Finding(path, "bad-bound", message, "remove it", True)
        elif fault := param_fault("integer" if kind in _SIZED else kind, bound) or _endless(bound):
            message = f'the {key} of parameter "{name}" is {fault}'
            sized = f"the {key} of a {kind} is its length"
            hint = sized if kind in _SIZED else f"the parameter's type is {kind}"
            yield Finding(path, "bad-bound", message, hint)
        else:
            bounds[key] = bound if kind in _SIZED else read(kind, bound)
    if len(bounds) == 2 and bounds["min"] > bounds["max"]:
        message = f'the max of parameter "{name}" is less than its min: no value is possible'
        yield Finding(("params", name, "max"), "bad-bound", message, "swap them")


def _endless(bound: float | str) -> str | None:
    """Return what an infinite or undefined bound is: it would bound nothing."""
    return f"{bound}" if isinstance(bound, float) and not math.isfinite(bound) else None


def defaults_fit(draft: Draft) -> Iterator[Finding]:
    """A parameter's default has its type, and a required one has none."""
    for name, param in draft.mapping("params").items():
        if not isinstance(param, dict) or "default" not in param:
            continue
        path: KeyPath = ("params", name, "default")
        if param.get("required") is True:
            message = f'parameter "{name}" is required and has a default'
            yield Finding(path, "conflicting-keys", message, "remove one of the two", True)
        kind, default = param.get("type", "string"), param["default"]
        if default is None or is_template(default) or not _is_known(kind):
            continue  # Of an unknown type, which the schema tells.
        fault = param_fault(kind, default)
        broken = f"is {fault}" if fault else _broken(name, param)
        if broken:
            message = f'the default of parameter "{name}" {broken}'
            hint = _hint(kind, default) if fault else "change the default or the rule"
            yield Finding(path, "bad-default", message, hint)


def _is_known(kind: object) -> bool:
    return isinstance(kind, str) and kind in READERS


def _hint(kind: str, default: object) -> str:
    if kind == "string" and not isinstance(default, dict | list):
        return "quote it"
    if kind == "list" and not isinstance(default, dict):
        return f"write [{default}]"
    return "change the default or the parameter's type"


def _broken(name: str, param: Mapping[str, Any]) -> str | None:
    """Return the constraint that the default breaks, or None; bad ones are reported elsewhere."""
    if any(_enum(name, param)) or any(_pattern(name, param)) or any(_bounds(name, param)):
        return None
    kind, listed, pattern = param.get("type", "string"), param.get("enum"), param.get("pattern")
    declared = Param(
        name,
        kind,
        enum=tuple(listed) if isinstance(listed, list) else None,
        pattern=pattern if isinstance(pattern, str) else None,
        min=param.get("min"),
        max=param.get("max"),
    )
    try:
        return "; ".join(violations(declared, read(kind, param["default"]))) or None
    except (ValueError, TypeError):
        return None  # A constraint of the wrong type, which the schema has reported.


def value_fault(name: str, param: Mapping[str, Any], value: Any) -> str | None:
    """Return how a value misses a declared parameter, as in `is 5, not text`, or None.

    A declaration that is wrong itself is fitted by everything.
    """
    kind = param.get("type", "string")
    if not _is_known(kind):
        return None
    fault = param_fault(kind, value)
    return f"is {fault}" if fault else _broken(name, {**param, "default": value})
