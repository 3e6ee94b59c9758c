"""The pipeline schema with every installed job's parameters in it, for editors."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.declarations.config import Settings
from headrace.declarations.schemas import schema
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.job_type import JobType
from headrace.model.job_parameters import Parameter, written
from headrace.model.typed_values import schema_of

# What is none of text is written as a template where its value comes from a parameter.
_TEMPLATE: dict[str, Any] = {"type": "string", "pattern": r"\{[{%]"}


def pipeline_schema(registry: Registry, settings: Settings | None = None) -> dict[str, Any]:
    """Return the JSON Schema of pipeline files in which `with` is that of the step's `job`.

    The `with` of a step that has a template in place of a job may hold anything. With
    `settings` the queues, pools and connections are the project's own.
    """
    whole: dict[str, Any] = copy.deepcopy(dict(schema("pipeline")))
    kinds = [registry.get(name) for name in registry.names()]
    jobs: list[dict[str, Any]] = [
        {"enum": [kind.name for kind in kinds]},
        {"pattern": r"\.", "description": "A dotted path to a class."},
    ]
    of_template = whole["$defs"]["template"]["properties"]["step"]
    for step, forms in ((whole["$defs"]["step"], jobs), (of_template, [*jobs, _TEMPLATE])):
        step["properties"]["job"] = {**step["properties"]["job"], "anyOf": forms}
        step["allOf"] = [*step.get("allOf", []), *(_rule(kind) for kind in kinds)]
    connections = None if settings is None else list(settings.connections)
    for kind in kinds:
        whole["$defs"][f"with_{kind.name}"] = _with(kind, connections)
    if settings is not None:
        _name_what_is_configured(whole, settings)
    return whole


def _name_what_is_configured(whole: dict[str, Any], settings: Settings) -> None:
    """Let editors offer the project's queues and pools."""
    whole["$defs"]["queue"] = {"enum": list(settings.queues)}
    step = whole["$defs"]["step"]["properties"]
    step["pool"] = {"description": step["pool"]["description"], "enum": list(settings.pools)}


def _rule(kind: JobType) -> dict[str, Any]:
    """Return the condition: if `job` is this class, `with` takes its parameters."""
    required = any(one.required for one in kind.parameters.values())
    then: dict[str, Any] = {"properties": {"with": {"$ref": f"#/$defs/with_{kind.name}"}}}
    if required:
        then["required"] = ["with"]
    return {"if": {"properties": {"job": {"const": kind.name}}, "required": ["job"]}, "then": then}


def _with(kind: JobType, connections: Sequence[str] | None) -> dict[str, Any]:
    described = {
        one.name: {**_parameter(one), **_meaning(kind, one.name)}
        for one in kind.parameters.values()
    }
    if connections is not None:
        for name in kind.connections:
            forms: list[dict[str, Any]] = [{"enum": [*connections, None]}, _TEMPLATE]
            described[name] = {**_meaning(kind, name), "anyOf": forms}
    return {
        "description": kind.summary,
        "type": "object",
        "additionalProperties": bool(kind.accepts_anything),
        "required": [one.name for one in kind.parameters.values() if one.required],
        "properties": described,
    }


def _meaning(kind: JobType, name: str) -> dict[str, str]:
    """Return what an editor shows where the pointer rests on a parameter."""
    told = kind.meanings.get(name)
    return {"description": f"{told[:1].upper()}{told[1:]}"} if told else {}


def _parameter(one: Parameter) -> dict[str, Any]:
    described = of_hint(one.type)
    if described:
        described = _or_template(described)
    default = written(one.default)
    if isinstance(default, str | int | float | list | dict):
        described["default"] = default
    return described


def of_hint(hint: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type hint; empty, which takes anything, where there is none."""
    described = schema_of(hint)
    # Of a class of the user's own that is described beside the hint an editor knows nothing.
    return {} if "$defs" in described else described


def _or_template(described: dict[str, Any]) -> dict[str, Any]:
    """Let a template stand for each value that is none of text."""
    for part in (described, *described.get("anyOf", ())):
        for key in ("items", "additionalProperties"):
            if isinstance(part.get(key), dict) and part[key]:
                part[key] = _or_template(part[key])
    return described if _takes_text(described) else {"anyOf": [described, _TEMPLATE]}


def _takes_text(described: Mapping[str, Any]) -> bool:
    if described.get("type") == "string":
        return not described.keys() & {"enum", "const", "pattern", "format"}
    return any(_takes_text(part) for part in described.get("anyOf", ()))
