"""Pipeline files → pipelines, with every problem of every file."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from headrace.declarations.across_files import Declared, Fault, across
from headrace.declarations.config import Settings
from headrace.declarations.defaults import DEFAULTS_FILE, Defaults
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.loaded_file import LoadedFile, LoadResult
from headrace.declarations.source import shown_path
from headrace.declarations.trigger_links import across_triggers, names_unknown
from headrace.errors import Problem
from headrace.model.pipeline import Pipeline

_ENDINGS = (".yaml", ".yml")

# Loads one file with the defaults of its folder.
Load = Callable[[Path, Defaults], LoadedFile]


def load_folder(
    folder: Path, catalogue: Catalogue, settings: Settings, load: Load | None = None
) -> LoadResult:
    """Load every pipeline file below a folder."""
    if not folder.is_dir():
        message = "there is no such folder"
        hint = "`pipelines` in config.yaml or HEADRACE_PIPELINES sets the pipelines folder"
        return LoadResult({}, [Problem(shown_path(folder), 0, 0, "missing-folder", message, hint)])
    return load_files(pipeline_files(folder), catalogue, settings, root=folder, load=load)


def load_files(
    files: Iterable[Path],
    catalogue: Catalogue,
    settings: Settings,
    *,
    root: Path | None = None,
    load: Load | None = None,
) -> LoadResult:
    """Load these files, one that occurs twice once. A bad one never hides the others.

    `root` is where the defaults of folders begin to count, for files outside the pipelines
    folder. Where a file names a pipeline that is none of theirs, those of the pipelines folder
    count, too. `load` loads each of them, `load_file` unless another one is given.
    """
    if load is None:
        # Imported here: files that are known from before need none of the rules.
        from headrace.declarations.one_file import load_file

        def load(path: Path, known: Defaults) -> LoadedFile:
            return load_file(path, catalogue, settings, known)

    distinct = {os.path.abspath(path): path for path in files}
    defaults = Defaults(catalogue, settings, root)
    loaded = [load(path, defaults) for path in distinct.values()]
    if not names_unknown(loaded):
        return combine(loaded)
    others = [
        load(path, defaults)
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
