"""Applies the `_defaults.yaml` of folders to the pipelines in and below them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.declarations.config import Settings
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.source import Document, read, scan, shown_path
from headrace.errors import Problem

if TYPE_CHECKING:
    from headrace.declarations.step_templates.declared_templates import StepTemplate

DEFAULTS_FILE = "_defaults.yaml"


@dataclass(frozen=True, slots=True)
class FolderDefaults:
    """The defaults of one folder: the files' contents, the outermost first, and their bytes.

    With `problems` no pipeline of the folder can be used: nobody knows what it would do.
    `templates` are those of all the files by name, the nearest file's; `documents` the files.
    """

    layers: tuple[Mapping[str, Any], ...] = ()
    content: bytes = b""
    problems: tuple[Problem, ...] = ()
    templates: "Mapping[str, StepTemplate]" = field(default_factory=dict)
    documents: tuple[Document, ...] = ()


class Defaults:
    """Reads each `_defaults.yaml` once, from the outermost folder that counts downwards.

    That is the pipelines folder for what is below it, else `root` for what is below that one,
    else the pipeline's own folder.
    """

    def __init__(self, catalogue: Catalogue, settings: Settings, root: Path | None = None) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._roots = [Path(os.path.abspath(path)) for path in (settings.pipelines, root) if path]
        self._found: dict[Path, FolderDefaults] = {}

    def of(self, folder: Path) -> FolderDefaults:
        """Return what holds for the pipelines of a folder, given by its absolute path."""
        found = self._found.get(folder)
        if found is None:
            below = any(folder != root and folder.is_relative_to(root) for root in self._roots)
            outer = self.of(folder.parent) if below else FolderDefaults()
            found = self._found[folder] = self._with(outer, folder / DEFAULTS_FILE)
        return found

    def _with(self, outer: FolderDefaults, path: Path) -> FolderDefaults:
        if not os.path.lexists(path):
            return outer
        # Imported here: folders without such a file need none of the rules.
        from headrace.declarations import schemas
        from headrace.declarations.step_templates.declared_templates import declared_in, faults

        content = read(path)
        if isinstance(content, Problem):
            return replace(outer, problems=(*outer.problems, content))
        document, problems = scan(content, shown_path(path))
        if document is None:
            return replace(outer, problems=(*outer.problems, *problems))
        templates = declared_in(document)
        problems += [*schemas.check(document, "defaults"), *self._broken(document)]
        for template in templates.values():
            problems += faults(template, self._catalogue, self._settings)
        return FolderDefaults(
            (*outer.layers, _layer(document)),
            outer.content + content,
            (*outer.problems, *problems),
            {**outer.templates, **templates},
            (*outer.documents, document),
        )

    def _broken(self, document: Document) -> Iterator[Problem]:
        from headrace.declarations.draft import Draft
        from headrace.declarations.file_places import place_of_finding
        from headrace.declarations.rules.pipeline_rules import RULES_OF_DEFAULTS

        draft = Draft({"defaults": document.data}, self._catalogue, self._settings)
        for rule in RULES_OF_DEFAULTS:
            for path, code, message, hint, of_key, line, word in rule(draft):
                place = place_of_finding(document, path[1:], of_key=of_key, line=line, word=word)
                yield Problem(document.file, *place, code, message, hint)


def _layer(document: Document) -> Mapping[str, Any]:
    data = document.data if isinstance(document.data, dict) else {}
    return {key: value for key, value in data.items() if key != "templates"}
