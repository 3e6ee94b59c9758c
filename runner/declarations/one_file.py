"""One pipeline file → a pipeline, or every problem of the file."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.declarations import schemas
from headrace.declarations.build import build_pipeline
from headrace.declarations.calendar_files import UsedCalendars, used_calendars
from headrace.declarations.config import Settings
from headrace.declarations.defaults import DEFAULTS_FILE, Defaults, FolderDefaults
from headrace.declarations.draft import Draft, Finding
from headrace.declarations.exact_numbers import numbers_stay_as_written
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.loaded_file import LoadedFile
from headrace.declarations.named_pipelines import links_of, references_of
from headrace.declarations.rules.notify_rules import somebody_is_told
from headrace.declarations.rules.pipeline_rules import RULES
from headrace.declarations.source import Document, read, scan, shown_path
from headrace.declarations.step_templates.expanded_steps import Expansion, expanded
from headrace.errors import Problem
from headrace.model.pipeline import Pipeline

# Nobody reads more of one kind, and finding them all can take minutes in a spoilt file.
MOST_OF_A_KIND = 100


def load_file(
    path: Path, catalogue: Catalogue, settings: Settings, defaults: Defaults | None = None
) -> LoadedFile:
    """Load one file by itself: a pipeline, or what a folder's pipelines have in common."""
    defaults = defaults or Defaults(catalogue, settings)
    if path.name == DEFAULTS_FILE:
        folder = Path(os.path.abspath(path)).parent
        return LoadedFile(shown_path(path), outer=defaults.of(folder).problems)
    content = read(path)
    if isinstance(content, Problem):
        return LoadedFile(content.file, problems=[content])
    return load_text(content, path, catalogue, settings, defaults)


def load_text(
    content: bytes,
    path: Path,
    catalogue: Catalogue,
    settings: Settings,
    defaults: Defaults | None = None,
) -> LoadedFile:
    """Load what a file holds. `path` says how to name it and where its relative paths begin."""
    file = shown_path(path)
    document, problems = scan(content, file)
    if document is None:
        return LoadedFile(file, problems=problems)
    if not isinstance(document.data, dict):
        return LoadedFile(file, problems=[*problems, _not_a_mapping(document)])
    folder = Path(os.path.abspath(path)).parent
    outer = (defaults or Defaults(catalogue, settings)).of(folder)
    expansion, found = expanded(document, outer.templates, catalogue, settings)
    draft = Draft(expansion.data, catalogue, settings, folder)
    found += expansion.placed(_broken_schema(expansion.data))
    found += expansion.placed(_broken_rules(draft))
    found += expansion.placed(somebody_is_told(expansion.data, outer.layers, settings))
    found += expansion.placed(islice(numbers_stay_as_written(expansion, draft), MOST_OF_A_KIND))
    problems += _not_caused_by(problems, found)
    calendars = used_calendars(draft.calendar_files(), folder, settings)
    broken = (*outer.problems, *calendars.problems)
    built = None
    if not problems and not broken:
        built = _built(expansion, content, folder, settings, outer, calendars)
    name = document.data.get("name")
    return LoadedFile(
        file,
        name if isinstance(name, str) else None,
        document.at(("name",)),
        built,
        problems,
        broken,
        calendars.looked_at,
        references_of(expansion, draft),
        links_of(draft, document),
    )


def _not_caused_by(unread: list[Problem], found: list[Problem]) -> list[Problem]:
    """Leave out what is wrong only because a value on the same line could not be read."""
    lines = {(one.file, one.line) for one in unread if one.code != "duplicate-key"}
    return [problem for problem in found if (problem.file, problem.line) not in lines]


def _built(
    expansion: Expansion,
    content: bytes,
    folder: Path,
    settings: Settings,
    outer: FolderDefaults,
    calendars: UsedCalendars,
) -> Pipeline:
    built = build_pipeline(
        expansion.data,
        file=expansion.document.file,
        folder=folder,
        version=hashlib.sha256(content + outer.content + calendars.digest).hexdigest(),
        retry=settings.retry,
        outer=outer.layers,
        calendars=calendars.dates,
        notify=settings.notify,
    )
    return replace(built, source=content)


def _not_a_mapping(document: Document) -> Problem:
    kind = "a list" if isinstance(document.data, list) else "a single value"
    message = f"the file contains {kind}, but a pipeline is a mapping"
    hint = "begin with `name: …` and `steps:`"
    return Problem(document.file, *document.at(()), "not-a-mapping", message, hint)


def _broken_schema(data: Any) -> Iterator[Finding]:
    for departure in islice(schemas.departures(data, "pipeline"), schemas.MOST):
        yield Finding(*departure)


def _broken_rules(draft: Draft) -> Iterator[Finding]:
    for rule in RULES:
        yield from islice(rule(draft), MOST_OF_A_KIND)
