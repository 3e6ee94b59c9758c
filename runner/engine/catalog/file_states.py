"""The pipeline files as they were looked at last, and what of them is active."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.declarations.calendar_files import Stamp, stamp
from headrace.declarations.load import watched_files
from headrace.declarations.loaded_file import LoadedFile, LoadResult
from headrace.errors import Problem
from headrace.model.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class FileStates:
    """The files as they were looked at last. `good` has each file's active pipeline."""

    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    files: Mapping[str, LoadedFile] = field(default_factory=dict)
    good: Mapping[str, Pipeline] = field(default_factory=dict)
    by_name: Mapping[str, Pipeline] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def next_state(
    before: FileStates,
    stamps: Mapping[str, Stamp],
    files: Mapping[str, LoadedFile],
    now: LoadResult,
) -> FileStates:
    """Return the state after a look at the files, the last good version of broken ones kept."""
    good: dict[str, Pipeline] = {}
    for path, loaded in files.items():
        if loaded.pipeline is not None and loaded.pipeline is now.pipelines.get(loaded.name or ""):
            good[path] = loaded.pipeline
    stay = staying(before, files, now)
    in_force = {**now.pipelines, **{last.name: last for last in stay.values()}}
    return FileStates(stamps, files, {**good, **stay}, in_force, now.problems)


def staying(
    before: FileStates, files: Mapping[str, LoadedFile], now: LoadResult
) -> dict[str, Pipeline]:
    """Return, by their files, the last good versions of pipelines whose files are broken."""
    stay: dict[str, Pipeline] = {}
    for path, last in before.good.items():
        if path not in files or last.name in now.pipelines:
            continue
        loaded = files[path]
        valid = now.pipelines.get(loaded.name or "")
        if valid is None or valid is not loaded.pipeline:
            stay[path] = last
    return stay


def problems_of(name: str, state: FileStates) -> list[Problem]:
    """Return what keeps the pipeline of a name, or of a file of that name, from being valid."""
    found: set[Problem] = set()
    for path, loaded in state.files.items():
        last = state.good.get(path)
        names = (loaded.name, Path(path).stem, last and last.name)
        if loaded.pipeline is None and name in names:
            found.update(loaded.problems, loaded.outer)
        if loaded.name == name:
            # What it says about other pipelines may stand in a template of a _defaults.yaml.
            places = {loaded.file, *(one.at[0] for one in loaded.references)}
            found.update(problem for problem in state.problems if problem.file in places)
    return sorted(problem for problem in found if problem.severity == "error")


def stamps_below(folder: Path) -> dict[str, Stamp]:
    """Return what tells each file's version from others."""
    return {path: stamp(path) for path in watched_files(folder)}


def outdated_in(state: FileStates) -> set[str]:
    """Return the files that were read together with one, a calendar's, that has changed."""
    return {
        path
        for path, loaded in state.files.items()
        if loaded.looked_at
        and any(stamp(other) != then for other, then in loaded.looked_at.items())
    }
