"""A pipeline as it holds, each value with where it came from.

Only `headrace show` asks for it: loading a thousand pipelines keeps no places.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.declarations import schemas
from headrace.declarations.config import Settings
from headrace.declarations.config.origins import SettingOrigins
from headrace.declarations.defaults import Defaults
from headrace.declarations.draft import HANDLERS
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.source import Document, KeyPath, read, scan, shown_path
from headrace.declarations.step_templates.expanded_steps import Expansion, expanded
from headrace.errors import Problem, ProblemsError
from headrace.model.duration import format_duration
from headrace.model.notifications import DEFAULT_KINDS
from headrace.model.origin import BUILT_IN, Origin

# What of a file is not a part of the pipeline: it goes into its steps.
_INTO_STEPS = ("defaults", "templates")
_WAITS = ("delay", "factor", "max_delay")


@dataclass(frozen=True, slots=True)
class Sourced:
    """One value with its origin."""

    value: Any
    origin: Origin


Tree = Sourced | dict[str, "Tree"] | list["Tree"]


@dataclass(frozen=True, slots=True)
class _Layer:
    """The defaults for all steps from one file: its `defaults`, or a _defaults.yaml."""

    kind: str
    document: Document
    path: KeyPath
    data: Mapping[str, Any]

    def origin(self, *path: str) -> Origin:
        line = self.document.at((*self.path, *path), key=True).line
        return Origin(self.kind, self.document.file, line)


def resolved(path: Path, catalogue: Catalogue, settings: Settings) -> dict[str, Tree]:
    """Return what a valid pipeline file amounts to: mappings and lists of sourced values.

    Lists of plain values are one value.

    Raises:
        ProblemsError: the file cannot be read.
    """
    content = read(path)
    if isinstance(content, Problem):
        raise ProblemsError([content])
    document, problems = scan(content, shown_path(path))
    if document is None or problems:
        raise ProblemsError(problems)
    outer = Defaults(catalogue, settings).of(Path(os.path.abspath(path)).parent)
    expansion, problems = expanded(document, outer.templates, catalogue, settings)
    if problems or outer.problems:
        raise ProblemsError([*problems, *outer.problems])
    layers = [_Layer("defaults", document, ("defaults",), document.data.get("defaults", {}))]
    layers += [_Layer("folder", one, (), one.data) for one in reversed(outer.documents)]
    return _Resolving(expansion, layers, settings).pipeline()


class _Resolving:
    def __init__(self, expansion: Expansion, layers: list[_Layer], settings: Settings) -> None:
        self._expansion = expansion
        self._layers = layers
        self._settings = settings
        self._setting = SettingOrigins(settings)
        self._schema: Mapping[str, Any] = schemas.inlined("pipeline")
        self._of_defaults = self._schema["properties"]["defaults"]["properties"]

    def pipeline(self) -> dict[str, Tree]:
        data = {k: part for k, part in self._expansion.data.items() if k not in _INTO_STEPS}
        if "schedule" in data:
            listed = data["schedule"]
            data["schedule"] = listed if isinstance(listed, list) else [listed]
        tree = self._mapping(data, (), self._schema)
        for step, handler in self._steps_of(tree):
            if "pipeline" not in step:  # Whose own steps say how their jobs run.
                self._complete(step)
            if handler and step.get("trigger_rule") == Sourced("all_success", BUILT_IN):
                del step["trigger_rule"]
            if _waits_for_none(step):
                step.pop("depends_on", None)
        return self._with_what_is_told(tree)

    def _with_what_is_told(self, tree: dict[str, Tree]) -> dict[str, Tree]:
        """Put into the pipeline what it leaves to its folders and to the configuration."""
        folders = [layer for layer in self._layers if layer.kind == "folder"]
        for key in ("deadline", "expected_duration"):
            found = next((layer for layer in folders if key in layer.data), None)
            if found is not None and key not in tree:
                tree[key] = Sourced(found.data[key], found.origin(key))
        told = self._told(tree.pop("notify", {}), folders)
        if told:
            tree["notify"] = told
        order = list(self._schema["properties"])
        return {key: tree[key] for key in sorted(tree, key=lambda key: _place(order, key))}

    def _told(self, own: Tree, folders: Sequence[_Layer]) -> Tree:
        if not isinstance(own, dict):
            return own  # Null: nobody is told.
        told = dict(own)
        for layer in (layer for layer in folders if "notify" in layer.data):
            if layer.data["notify"] is None:
                return told if "to" in told else {}
            for part, value in layer.data["notify"].items():
                told.setdefault(part, Sourced(value, layer.origin("notify", part)))
        base = self._settings.notify
        if base is not None:
            told.setdefault("to", self._set(list(base.to), "notify", "to"))
            told.setdefault("on", self._set(list(base.on), "notify", "on"))
        if "to" not in told:
            return {}
        told.setdefault("on", Sourced(list(DEFAULT_KINDS), BUILT_IN))
        return {key: told[key] for key in ("on", "to")}

    def _steps_of(self, tree: dict[str, Tree]) -> Iterator[tuple[dict[str, Tree], bool]]:
        handlers = tree.get("handlers")
        lists = [(tree["steps"], False)]
        if isinstance(handlers, dict):
            lists += [(handlers[name], True) for name in HANDLERS if name in handlers]
        for listed, handler in lists:
            for step in listed if isinstance(listed, list) else ():
                if isinstance(step, dict):
                    yield step, handler

    def _tree(self, value: Any, path: KeyPath, described: Mapping[str, Any]) -> Tree:
        if path[:1] == ("schedule",) and len(path) == 2:
            value, described = self._schedule(value)
        if path == ("trigger",) and isinstance(value, dict):
            described = next(form for form in described["anyOf"] if "properties" in form)
        if isinstance(value, dict) and value:
            return self._mapping(value, path, described)
        if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            items = described.get("items", {})
            return [self._tree(item, (*path, index), items) for index, item in enumerate(value)]
        if path == ("schedule",):
            return [self._tree(item, (*path, index), {}) for index, item in enumerate(value)]
        return Sourced(value, self._origin(path))

    def _schedule(self, value: Any) -> tuple[Any, Mapping[str, Any]]:
        """Return a schedule as a mapping, with the part of the schema that describes it."""
        forms = self._schema["properties"]["schedule"]["anyOf"]
        described = next(form for form in forms if "properties" in form)
        return ({"cron": value} if isinstance(value, str) else value), described

    def _mapping(
        self, value: Mapping[str, Any], path: KeyPath, described: Mapping[str, Any]
    ) -> dict[str, Tree]:
        """Return a mapping in the schema's order, with the schema's defaults."""
        properties = described.get("properties", {})
        other = described.get("additionalProperties")
        other = other if isinstance(other, dict) else {}
        tree: dict[str, Tree] = {}
        for key in [*properties, *(key for key in value if key not in properties)]:
            part = properties.get(key, other)
            if key in value:
                tree[key] = self._tree(value[key], (*path, key), part)
            elif "default" in part:
                tree[key] = Sourced(part["default"], BUILT_IN)
        return tree

    def _origin(self, path: KeyPath) -> Origin:
        document = self._expansion.document
        use = self._expansion.use_at(path)
        within = path[len(use.path) :] if use else ()
        if use is None or use.is_own(within):
            return Origin("pipeline", document.file, self._line(document, path))
        template = use.template
        line = self._line(template.document, (*template.path, "step", *within))
        origin = Origin("template", template.document.file, line, template.name)
        param = use.param_at(within)
        if param is None:
            return origin
        name, given = param[0], (*use.path, "with", param[0])
        step = Origin("pipeline", document.file, self._line(document, given))
        known = step if name in use.given else None
        return Origin(origin.kind, origin.file, origin.line, origin.name, name, known)

    def _line(self, document: Document, path: KeyPath) -> int:
        if path[:1] == ("schedule",) and not isinstance(document.data["schedule"], list):
            path = ("schedule", *path[2:])
        return document.at(path, key=True).line

    def _complete(self, step: dict[str, Tree]) -> None:
        """Put into a step what it leaves to the layers, and to the configuration below them."""
        for key, described in self._of_defaults.items():
            if described.get("type") == "object":
                step[key] = self._merged(step.get(key), key)
            elif key not in step:
                found = next((layer for layer in self._layers if key in layer.data), None)
                if found is not None:
                    step[key] = Sourced(found.data[key], found.origin(key))
        timeout = format_duration(self._settings.timeout_s)
        step.setdefault("queue", self._set(self._settings.default_queue, "default_queue"))
        step.setdefault("timeout", self._set(timeout, "timeout"))
        step["retry"] = self._retry(step["retry"])
        for key in [key for key, part in step.items() if part == {}]:
            del step[key]
        order = list(self._schema["properties"]["steps"]["items"]["properties"])
        for key in sorted(step, key=lambda key: _place(order, key)):
            step[key] = step.pop(key)

    def _merged(self, own: Tree | None, key: str) -> Tree:
        merged = dict(own) if isinstance(own, dict) else {}
        for layer in self._layers:
            for part, value in (layer.data.get(key) or {}).items():
                merged.setdefault(part, Sourced(value, layer.origin(key, part)))
        return merged

    def _retry(self, given: Tree) -> Tree:
        """Return all that a retry needs: waits that grow, or the intervals of the configuration."""
        retry = dict(given) if isinstance(given, dict) else {}
        base = self._settings.retry
        retry.setdefault("limit", self._set(base.limit, "retry", "limit"))
        retry.setdefault("jitter", self._set(base.jitter, "retry", "jitter"))
        if base.intervals_s is not None and not retry.keys() & set(_WAITS):
            intervals = [format_duration(interval) for interval in base.intervals_s]
            retry["intervals"] = self._set(intervals, "retry", "intervals")
        else:
            retry.setdefault("delay", Sourced(format_duration(base.delay_s), BUILT_IN))
            retry.setdefault("factor", Sourced(_short(base.factor), BUILT_IN))
            retry.setdefault("max_delay", Sourced(format_duration(base.max_delay_s), BUILT_IN))
        order = ("limit", *_WAITS, "intervals", "jitter", "when")
        return {key: retry[key] for key in order if key in retry}

    def _set(self, value: Any, *path: str) -> Sourced:
        return Sourced(value, self._setting.of(path))


def _place(order: Sequence[str], key: str) -> int:
    return order.index(key) if key in order else len(order)


def _short(number: float) -> float:
    """Return a whole number without its `.0`."""
    return int(number) if number == int(number) else number


def _waits_for_none(step: Mapping[str, Tree]) -> bool:
    rule = step.get("trigger_rule")
    return isinstance(rule, Sourced) and rule.value == "always"
