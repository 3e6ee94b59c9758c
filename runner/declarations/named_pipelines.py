"""Finds the places at which one file names other pipelines, for the checks across files."""

import re

from headrace.declarations.across_files import Argument, Reference
from headrace.declarations.draft import Draft
from headrace.declarations.source import Document
from headrace.declarations.step_templates.expanded_steps import Expansion
from headrace.declarations.template_references import is_template, references, scalars
from headrace.declarations.trigger_links import Links, UpstreamParam
from headrace.declarations.trigger_links import Reference as TriggerReference

# As the schema has it: what cannot be a name has been reported.
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_-]*")
_METHODS = ("get", "items", "keys", "values")


def references_of(expansion: Expansion, draft: Draft) -> tuple[Reference, ...]:
    """Return the steps of a file that run other pipelines."""
    found = []
    for step in draft.all_steps:
        name = step.text("pipeline")
        if not name or not _NAME.fullmatch(name):
            continue
        at = expansion.place_of((*step.path, "pipeline"))
        arguments = tuple(
            Argument(
                str(key),
                value,
                not any(is_template(part) for _path, part in scalars(value, ())),
                expansion.place_of((*step.path, "with", key), key=True),
                expansion.place_of((*step.path, "with", key)),
            )
            for key, value in step.with_.items()
        )
        with_at = expansion.place_of((*step.path, "with"), key=True) if "with" in step.data else at
        found.append(Reference(step.label, name, at, with_at, arguments))
    return tuple(found)


def links_of(draft: Draft, document: Document) -> Links:
    """Return where a file speaks of others, whether it is valid or not."""
    triggers = tuple(
        TriggerReference(name, document.at(path))
        for path, name in draft.triggering()
        if _NAME.fullmatch(name)
    )
    if not triggers:
        return Links()
    named = {reference.pipeline for reference in triggers}
    params = tuple(
        UpstreamParam(pipeline, param, document.at(path))
        for path, value in scalars(draft.trigger().get("with"), ("trigger", "with"))
        if is_template(value)
        for pipeline, param in sorted(references(value).upstream_params)
        if pipeline in named and param not in _METHODS
    )
    return Links(triggers, params)
