"""Steps that use a template: what they say, and where each part of it stands."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from headrace.declarations.across_files import Place
from headrace.declarations.config import Settings
from headrace.declarations.draft import Draft, DraftStep, Finding
from headrace.declarations.file_places import place_of_finding
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.rules.param_rules import value_fault
from headrace.declarations.source import Document, KeyPath, Node, Position
from headrace.declarations.step_templates.declared_templates import (
    StepTemplate,
    about,
    called,
    declared_in,
    faults,
)
from headrace.declarations.step_templates.substitution import (
    NoText,
    Substitution,
    TooLarge,
)
from headrace.declarations.step_templates.template_use import MERGED, Use
from headrace.declarations.template_references import is_template
from headrace.errors import Problem
from headrace.errors.suggestions import did_you_mean


class Expansion:
    """A file's content with the templates of its steps put in, as `data`."""

    def __init__(self, document: Document, data: Any, uses: Iterable[Use]) -> None:
        self.document = document
        self.data = data
        self.uses = {use.path: use for use in uses}
        self._told: set[tuple[object, ...]] = set()

    def use_at(self, path: KeyPath) -> Use | None:
        """Return the use that a path of `data` lies in."""
        return (self.uses.get(path[:2]) or self.uses.get(path[:3])) if self.uses else None

    def placed(self, findings: Iterable[Finding]) -> Iterator[Problem]:
        """Yield what was found in `data` as problems at the places where the faults stand.

        What stands in a template is reported once, with the first step that uses it.
        """
        for found in (Finding(*finding) for finding in findings):
            use = self.use_at(found.path)
            if use is None:
                place = _place(self.document, found.path, found, of_key=found.of_key)
                yield Problem(self.document.file, *place, found.code, found.message, found.hint)
            else:
                yield from self._of_use(use, found)

    def place_of(self, path: KeyPath, *, key: bool = False) -> Place:
        """Return the file, line and column at which what stands at a path of `data` is written."""
        document, at, of_key = self.document, path, key
        use = self.use_at(path)
        if use is not None:
            document, at, of_key = self._written(use, path, of_key=key)
        return document.file, *document.at(at, key=of_key)

    def node_at(self, path: KeyPath) -> Node | None:
        """Return what stands in a file for a part of `data`, as it is written."""
        document, at = self.document, path
        use = self.use_at(path)
        if use is not None:
            document, at, _ = self._written(use, path, of_key=False)
        return document.node(at)

    def _written(self, use: Use, path: KeyPath, *, of_key: bool) -> tuple[Document, KeyPath, bool]:
        within = path[len(use.path) :]
        param = None if use.is_own(within) else use.param_at(within)
        if param is not None and param[0] in use.given:
            return self.document, (*use.path, "with", param[0], *param[1]), False
        if use.is_own(within):
            return self.document, path, of_key
        at: KeyPath = (*use.template.path, "step", *within)
        if param is not None:
            at = (*use.template.path, "params", param[0], "default", *param[1])
        return use.template.document, at, of_key

    def _of_use(self, use: Use, found: Finding) -> Iterator[Problem]:
        path, code, message, hint, of_key, *_text = found
        within = path[len(use.path) :]
        template = use.template
        if (within, code) in template.told:
            return
        document, at, of_key = self._written(use, path, of_key=of_key)
        if at[: len(template.path)] == template.path and document is template.document:
            user = use.label
            if document is not self.document:
                user += f" of {self.document.file}"
            message = about(message, use.label, called(template, user))
            key = (template.name, at, code, message.replace(use.label, ""))
            if key in self._told:
                return
            self._told.add(key)
        place = _place(document, at, found, of_key=of_key)
        problem = Problem(document.file, *place, code, message, hint)
        if (problem,) not in self._told:
            self._told.add((problem,))
            yield problem


def _place(document: Document, at: KeyPath, found: Finding, *, of_key: bool) -> Position:
    return place_of_finding(document, at, of_key=of_key, line=found.line, word=found.word)


def expanded(
    document: Document,
    outer: Mapping[str, StepTemplate],
    catalogue: Catalogue,
    settings: Settings,
) -> tuple[Expansion, list[Problem]]:
    """Return a file's content with its templates put in, and what is wrong with them.

    `outer` holds the templates of the folders. A step that cannot be expanded stays as it is.
    """
    data = document.data
    own = declared_in(document)
    draft = Draft(data, catalogue, settings)
    using = [step for step in draft.all_steps if step.text("template")]
    if not own and not using:
        return Expansion(document, data, ()), []
    users: dict[str, str] = {}
    for step in using:
        users.setdefault(str(step.text("template")), step.label)
    params = draft.mapping("params")
    problems = [
        problem
        for template in own.values()
        for problem in faults(
            template, catalogue, settings, params=params, user=users.get(template.name, "")
        )
    ]
    known = {**outer, **own}
    broken = set(draft.mapping("templates")) - own.keys()
    expansion, findings = _put_in(document, using, known, broken)
    problems += expansion.placed(findings)
    return expansion, problems


def _put_in(
    document: Document, using: list[DraftStep], known: Mapping[str, StepTemplate], broken: set[str]
) -> tuple[Expansion, list[Finding]]:
    substitution = Substitution()
    uses: list[Use] = []
    steps: dict[KeyPath, Mapping[str, Any]] = {}
    findings: list[Finding] = []
    for step in using:
        name = str(step.text("template"))
        template = known.get(name)
        if name in broken or step.data.keys() & {"job", "pipeline"} or not _with_is_fit(step):
            continue  # Which the schema tells.
        if template is None:
            findings.append(_unknown(step, name, known))
            continue
        use = Use(template, step.path, step.data)
        values, faulty = _values(use)
        findings += faulty
        # A value that does not fit has been told; what would follow from it has not to be.
        if not faulty:
            try:
                steps[step.path] = _merged(use, substitution.step(template.body, values))
                uses.append(use)
            except (NoText, TooLarge) as error:
                findings.append(_refused(use, error))
                if isinstance(error, TooLarge):
                    break
    return Expansion(document, _replaced(document.data, steps), uses), findings


def _with_is_fit(step: DraftStep) -> bool:
    return isinstance(step.data.get("with", {}), dict)


def _unknown(step: DraftStep, name: str, known: Mapping[str, StepTemplate]) -> Finding:
    hint = did_you_mean(name, known, listed_as="templates")
    hint = hint or "declare it under `templates`, here or in a _defaults.yaml"
    message = f'{step.label} uses an unknown template "{name}"'
    return Finding((*step.path, "template"), "unknown-template", message, hint)


def _refused(use: Use, error: NoText | TooLarge) -> Finding:
    path = (*use.path, "template")
    if isinstance(error, TooLarge):
        message = "the templates of this file expand to more than the limit"
        return Finding(path, "too-large", message, "use shorter values, or split the file")
    message = f'{use.label}: the parameter "{error.name}" of template "{use.template.name}": '
    if error.name in use.given:
        path = (*use.path, "with", error.name)
    hint = "write a text, or declare a default in the template"
    return Finding(path, "wrong-type", f"{message}{error}", hint)


def _values(use: Use) -> tuple[dict[str, Any], list[Finding]]:
    """Return a value for every parameter of the template, and what is wrong with those given."""
    params, given = use.template.params, use.given
    name_of = f'template "{use.template.name}"'
    at = (*use.path, "with")
    found = []
    for name in given:
        if name not in params:
            hint = did_you_mean(name, params, listed_as="it takes") or "it takes none"
            message = f'{use.label}: {name_of} has no parameter "{name}"'
            found.append(Finding((*at, name), "unknown-parameter", message, hint, True))
    values: dict[str, Any] = {}
    for name, param in params.items():
        if name not in given and param.get("required") is True:
            place = at if "with" in use.raw else (*use.path, "template")
            message = f'{use.label}: {name_of} needs the parameter "{name}"'
            hint = f"add {name}: … to its `with`"
            found.append(
                Finding(place, "missing-parameter", message, hint, of_key="with" in use.raw)
            )
            continue
        values[name] = value = given.get(name, param.get("default"))
        fault = _fault(name, param, value) if name in given else None
        if fault is not None:
            message = f'{use.label}: the parameter "{name}" of {name_of} {fault}'
            hint = str(param.get("description") or "change the value, or the parameter's type")
            found.append(Finding((*at, name), "wrong-type", message, hint))
    return values, found


def _fault(name: str, param: Mapping[str, Any], value: Any) -> str | None:
    """Return how a value that is given does not fit; what is rendered later is looked at then."""
    absent = value is None and param.get("required") is not True and param.get("default") is None
    return None if absent or is_template(value) else value_fault(name, param, value)


def _merged(use: Use, body: dict[str, Any]) -> dict[str, Any]:
    """Return the step with what its template says, its own words first."""
    own = {key: part for key, part in use.raw.items() if key not in ("template", "with")}
    for key in MERGED:
        if isinstance(own.get(key), dict) and isinstance(body.get(key), dict):
            own[key] = {**body[key], **own[key]}
    return {**body, **own}


def _replaced(data: Any, steps: Mapping[KeyPath, Mapping[str, Any]]) -> Any:
    """Return the file's content with these steps in the places of those there."""
    if not steps:
        return data
    changed = dict(data)
    for path, step in steps.items():
        *parents, index = path
        holder: Any = changed
        original: Any = data
        for key in parents:
            original = original[key]
            if holder[key] is original:
                holder[key] = list(original) if isinstance(original, list) else dict(original)
            holder = holder[key]
        holder[index] = step
    return changed
