"""Step templates as they are declared, and what is wrong with them wherever they are used.

A template's step is checked once, as if it were the only step of a pipeline. What depends on
the values that a step gives is left to the step that uses it (see `expansion`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from headrace.declarations import schemas
from headrace.declarations.config import Settings
from headrace.declarations.draft import Draft, Finding
from headrace.declarations.file_places import place_of_finding
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.rules.param_rules import constraints_make_sense, defaults_fit
from headrace.declarations.rules.pipeline_rules import RULES
from headrace.declarations.rules.template_rules import (
    speaks_of_templates,
    templates_keep_to_their_values,
)
from headrace.declarations.source import Document, KeyPath
from headrace.declarations.step_templates.substitution import name_of_whole, names_in, without_names
from headrace.declarations.template_references import scalars
from headrace.errors import Problem
from headrace.errors.suggestions import did_you_mean

# What only a step of its own can say.
OF_THE_STEP = ("id", "depends_on", "template")

# What it has as the only step of a pipeline.
_SPECIMEN = "specimen"
_LABEL = f'step "{_SPECIMEN}"'

# What only a step that uses it knows: which steps come before.
_UNKNOWN_HERE = frozenset({"unknown-step", "step-not-before", "no-dependencies"})

_PLAIN_HINT = "write only {{ template.NAME }}: it is replaced when the file is loaded"


@dataclass(frozen=True, slots=True)
class StepTemplate:
    """One entry of `templates` whose `step` is a mapping.

    `told` holds (path within the step, code) of the problems that are reported at the template.
    """

    name: str
    data: Mapping[str, Any]
    document: Document
    told: set[tuple[KeyPath, str]] = field(default_factory=set)

    @property
    def path(self) -> KeyPath:
        """Return the place of the template in its file."""
        return ("templates", self.name)

    @property
    def body(self) -> Mapping[str, Any]:
        """Return the keys that the template gives to a step."""
        return {key: part for key, part in self.data["step"].items() if key not in OF_THE_STEP}

    @property
    def params(self) -> Mapping[str, Mapping[str, Any]]:
        """The declared parameters by name."""
        declared = self.data.get("params")
        listed = declared.items() if isinstance(declared, dict) else ()
        return {name: param for name, param in listed if isinstance(param, dict)}

    def text_at(self, path: KeyPath) -> tuple[str | None, KeyPath]:
        """Return the text of the step at `path` or the next above it, and what is left of it."""
        value: Any = self.body
        for index, key in enumerate(path):
            parts = dict(enumerate(value)) if isinstance(value, list) else value
            if not isinstance(parts, dict) or key not in parts:
                return (value if isinstance(value, str) else None), path[index:]
            value = parts[key]
        return (value if isinstance(value, str) else None), ()

    def of_params(self, path: KeyPath) -> bool:
        """Return whether what stands at `path` of the step is a text with parameters in it."""
        text, _ = self.text_at(path)
        return text is not None and bool(names_in(text))


def declared_in(document: Document) -> dict[str, StepTemplate]:
    """Return the templates of a file; what does not look like one is left to the schema."""
    data = document.data if isinstance(document.data, dict) else {}
    listed = data.get("templates")
    return {
        name: StepTemplate(name, given, document)
        for name, given in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(given, dict) and isinstance(given.get("step"), dict)
    }


def faults(
    template: StepTemplate,
    catalogue: Catalogue,
    settings: Settings,
    *,
    params: Mapping[str, Any] | None = None,
    user: str = "",
) -> Iterator[Problem]:
    """Yield what is wrong with a template, whoever uses it.

    `params` are the pipeline's own, None where it is not known which pipeline it will be.
    `user` is the first step that uses it.
    """
    document = template.document
    alone = Draft({"params": template.params}, catalogue, settings)
    for rule in (constraints_make_sense, defaults_fit):
        for path, code, message, hint, of_key, *_text in rule(alone):
            place = document.at((*template.path, *path), key=of_key)
            yield Problem(document.file, *place, code, message, hint)
    for path, code, message, hint, of_key, line, word in (
        *_own(template),
        *_of_specimen(template, params, catalogue, settings),
    ):
        template.told.add((path, code))
        at = (*template.path, "step", *path)
        place = place_of_finding(document, at, of_key=of_key, line=line, word=word)
        text = about(message, _LABEL, called(template, user))
        yield Problem(document.file, *place, code, text, hint)


def _of_specimen(
    template: StepTemplate,
    params: Mapping[str, Any] | None,
    catalogue: Catalogue,
    settings: Settings,
) -> Iterator[Finding]:
    """Yield what is wrong with the step as the only one of a pipeline, by paths within it."""
    specimen = {
        "name": _SPECIMEN,
        "params": params or {},
        "steps": [{**template.body, "id": _SPECIMEN}],
    }
    departures = islice(schemas.departures(specimen, "pipeline"), schemas.MOST)
    draft = Draft(specimen, catalogue, settings)
    rules = (rule(draft) for rule in RULES if rule is not templates_keep_to_their_values)
    found = (Finding(*departure) for departure in departures)
    for departed, code, message, hint, of_key, line, word in chain(found, *rules):
        path = departed[2:]
        elsewhere = departed[:2] != ("steps", 0) or code in _UNKNOWN_HERE
        if elsewhere or (params is None and code == "unknown-param"):
            continue
        # Without a path: that it has no job, which is told in other words.
        if path and not template.of_params(path):
            yield Finding(path, code, message, _without_own(hint), of_key, line, word)


def _without_own(hint: str) -> str:
    """Return a list of known keys without those that a template cannot have."""
    own = [f"{key}, " for key in OF_THE_STEP] if hint.startswith("known keys: ") else []
    for part in own:
        hint = hint.replace(part, "", 1)
    return hint


def _own(template: StepTemplate) -> Iterator[Finding]:
    """Yield what only a template can have wrong."""
    if not template.body.keys() & {"job", "pipeline"}:
        hint = "its step needs `job: …`: a class of the folder jobs/, or a dotted path"
        yield Finding((), "missing-key", f"{_LABEL} has no job", hint)
    for path, text in scalars(template.body, ()):
        if isinstance(text, str):
            for code, message, hint in _misused(template, path, text):
                yield Finding(path, code, message, hint)
    for path in _keys_with_names(template.body, ()):
        message = f"{_LABEL} has a key that contains a parameter"
        yield Finding(path, "bad-template", message, "only values can contain parameters", True)


def _misused(template: StepTemplate, path: KeyPath, text: str) -> Iterator[tuple[str, str, str]]:
    names = names_in(text)
    if speaks_of_templates(without_names(text), expression=path == ("when",)):
        message = f"{_LABEL} uses a parameter of the template within an expression"
        yield "unknown-param", message, _PLAIN_HINT
    if path[:2] == ("with", "sql") and (names or "template." in text):
        hint = "pass it as a value: with: {sql: …, params: {x: "
        hint += (
            f'"{{{{ template.{names[0] if names else "x"} }}}}"}}}}, and write {{{{ params.x }}}}'
        )
        yield "template-in-sql", f"{_LABEL} puts a parameter into SQL as text", hint
    for name in dict.fromkeys(names):
        param = template.params.get(name)
        if param is None:
            hint = did_you_mean(name, template.params, listed_as="the template's parameters")
            hint = hint or f"declare it: params: {{{name}: {{type: string}}}}"
            message = f'{_LABEL} uses the unknown parameter "template.{name}"'
            yield "unknown-param", message, hint
        elif param.get("type") == "list" and name_of_whole(text) is None:
            message = f'{_LABEL} has the list "template.{name}" inside a text'
            yield "bad-template", message, "a list must be the whole value"


def _keys_with_names(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, part in value.items():
            if names_in(key):
                yield (*path, key)
            yield from _keys_with_names(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _keys_with_names(part, (*path, index))


def called(template: StepTemplate, user: str) -> str:
    """Return how messages name a template, and the first step that uses it."""
    return f'template "{template.name}"' + (f" (used by {user})" if user else "")


def about(message: str, step: str, template: str) -> str:
    """Return a message about a step as one about its template."""
    return message.replace(step, template, 1) if step in message else f"{template}: {message}"
