"""Pipeline files → pipelines, with every problem of every file."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.declarations import schemas
from headrace.declarations.across_files import Declared, Fault, Reference, across, references_of
from headrace.declarations.build import build_pipeline
from headrace.declarations.calendar_files import Stamp, UsedCalendars, used_calendars
from headrace.declarations.config import Settings
from headrace.declarations.defaults import DEFAULTS_FILE, Defaults, FolderDefaults
from headrace.declarations.draft import Draft, Finding
from headrace.declarations.exact_numbers import numbers_stay_as_written
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.rules.notify_rules import somebody_is_told
from headrace.declarations.rules.pipeline_rules import RULES
from headrace.declarations.source import Document, Position, read, scan, shown_path
from headrace.declarations.step_templates.expanded_steps import Expansion, expanded
from headrace.declarations.trigger_links import Links, across_triggers, links_of, names_unknown
from headrace.errors import Problem
from headrace.model.pipeline import Pipeline

# Nobody reads more of one kind, and finding them all can take minutes in a spoilt file.
MOST_OF_A_KIND = 100

_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The valid pipelines by name, and all problems in the order of their places."""

    pipelines: dict[str, Pipeline]
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """One file: its pipeline if it is valid, and the name it claims even if it is not.

    `outer` are problems of the _defaults.yaml that hold for it and of its calendars' files; they
    make it invalid, too. `looked_at` are the other files that it was read with.
    `references` and `links` are what it says about other pipelines, which `combine` checks.
    """

    file: str
    name: str | None = None
    name_at: Position = field(default=Position(1, 1))
    pipeline: Pipeline | None = None
    problems: list[Problem] = field(default_factory=list)
    outer: tuple[Problem, ...] = ()
    looked_at: Mapping[str, Stamp] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    links: Links = field(default=Links())


def load_folder(folder: Path, catalogue: Catalogue, settings: Settings) -> LoadResult:
    """Load every pipeline file below a folder."""
    if not folder.is_dir():
        message = "there is no such folder"
        hint = "`pipelines` in config.yaml or HEADRACE_PIPELINES sets the pipelines folder"
        return LoadResult({}, [Problem(shown_path(folder), 0, 0, "missing-folder", message, hint)])
    return load_files(pipeline_files(folder), catalogue, settings, root=folder)


def load_files(
    files: Iterable[Path], catalogue: Catalogue, settings: Settings, *, root: Path | None = None
) -> LoadResult:
    """Load these files, one that occurs twice once. A bad one never hides the others.

    `root` is where the defaults of folders begin to count, for files outside the pipelines
    folder. Where a file names a pipeline that is none of theirs, those of the pipelines folder
    count, too.
    """
    distinct = {os.path.abspath(path): path for path in files}
    defaults = Defaults(catalogue, settings, root)
    loaded = [load_file(path, catalogue, settings, defaults) for path in distinct.values()]
    if not names_unknown(loaded):
        return combine(loaded)
    others = [
        load_file(path, catalogue, settings, defaults)
        for path in pipeline_files(settings.pipelines)
        if os.path.abspath(path) not in distinct
    ]
    return combine(loaded, others)


def pipeline_files(folder: Path) -> list[Path]:
    """Return the pipeline files below a folder: *.yaml and *.yml, in any case.

    Hidden ones are left out, and those whose names begin with `_`.
    """
    paths = map(Path, watched_files(folder))
    return sorted(path for path in paths if path.name != DEFAULTS_FILE)


def watched_files(folder: Path) -> Iterator[str]:
    """Yield the pipeline files below a folder and the _defaults.yaml beside them.

    Linked folders are followed, each real one once. As texts: a daemon asks every second, and a
    thousand paths take it longer than the disk.
    """
    root = os.path.realpath(folder)
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        linked = real != root and Path(parent).is_symlink()
        # A link to a folder that is below this one anyway adds nothing.
        if real in seen or (linked and f"{real}{os.sep}".startswith(f"{root}{os.sep}")):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            pipeline = name.lower().endswith(_ENDINGS) and not name.startswith(("_", "."))
            if pipeline or name == DEFAULTS_FILE:
                yield f"{parent}{os.sep}{name}"


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


def combine(
    files: Iterable[LoadedFile],
    others: Iterable[LoadedFile] = (),
    kept: Mapping[str, Pipeline] | None = None,
) -> LoadResult:
    """Put files together: a name that two of them use is a problem in both.

    They are checked against each other, and against `others`, which are not looked at further;
    see `across_triggers` for `kept`.
    """
    files = list(files)
    by_name: dict[str, list[LoadedFile]] = {}
    problems: list[Problem] = []
    outer: set[Problem] = set()
    for loaded in files:
        problems += loaded.problems
        outer.update(loaded.outer)
        if loaded.name is not None:
            by_name.setdefault(loaded.name, []).append(loaded)
    pipelines: dict[str, Pipeline] = {}
    for name, sharing in by_name.items():
        if len(sharing) > 1:
            problems += _shared_name(name, sharing)
        elif sharing[0].pipeline is not None:
            pipelines[name] = sharing[0].pipeline
    between = _between(files, list(others), kept or {})
    broken = {file for file, _problem in between}
    valid = {name: one for name, one in sorted(pipelines.items()) if one.file not in broken}
    return LoadResult(valid, sorted([*problems, *outer, *{problem for _file, problem in between}]))


def _between(
    files: Sequence[LoadedFile], others: Sequence[LoadedFile], kept: Mapping[str, Pipeline]
) -> list[Fault]:
    """Return what is wrong with what these files say about each other and about the others."""
    if not any(file.references or file.links.triggers for file in files):
        return []
    declared = [
        Declared(file.file, file.name, file.pipeline, file.references)
        for file in (*files, *others)
        if file.name is not None
    ]
    own = {file.file for file in files}
    found = [fault for fault in across(declared) if fault[0] in own]
    return [*found, *across_triggers(files, others, kept)]


def _shared_name(name: str, sharing: list[LoadedFile]) -> Iterator[Problem]:
    for loaded in sharing:
        others = ", ".join(
            f"{other.file}:{other.name_at.line}" for other in sharing if other is not loaded
        )
        message = f'the name "{name}" is also used by {others}'
        hint = "give each pipeline a unique name; until then none of them is loaded"
        yield Problem(loaded.file, *loaded.name_at, "duplicate-name", message, hint)
