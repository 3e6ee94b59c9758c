"""The pipelines that are active: read from files, kept through broken edits."""

import os
import threading
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.declarations.calendar_files import Stamp, stamp
from headrace.declarations.config import Settings
from headrace.declarations.defaults import DEFAULTS_FILE, Defaults
from headrace.declarations.load import (
    LoadedFile,
    LoadResult,
    combine,
    load_file,
    load_folder,
    watched_files,
)
from headrace.engine.catalog.file_watch import BackgroundLook
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.last_good_version import LastGood, LostVersion
from headrace.errors import Problem, ProblemsError, UnknownPipeline
from headrace.errors.suggestions import did_you_mean
from headrace.model.pipeline import Pipeline

# A look at up to a few thousand files takes less; after a longer one, one waits so many times as
# long: the looks take one percent of a core.
_SHORT_LOOK_S = 0.01
_REST = 100.0
_LONGEST_REST_S = 15.0


@dataclass(frozen=True, slots=True)
class _State:
    """The files as they were looked at last. `good` has each file's active pipeline."""

    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    files: Mapping[str, LoadedFile] = field(default_factory=dict)
    good: Mapping[str, Pipeline] = field(default_factory=dict)
    by_name: Mapping[str, Pipeline] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class Pipelines:
    """Pipelines that the files declare. Safe to share by threads: they see whole states only."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._lock = threading.Lock()
        self._seen: _State | None = None
        self._lost: Mapping[str, LostVersion] = {}
        self._rest_until = 0.0
        where = f"the pipelines folder {settings.pipelines}"
        self._looking = BackgroundLook(self._look, what=where)

    @property
    def by_name(self) -> Mapping[str, Pipeline]:
        """The valid pipelines, and the last valid version of those that are broken now."""
        return self._state().by_name

    @property
    def problems(self) -> list[Problem]:
        """Return the problems of the files as they are."""
        return self._state().problems

    def problems_of(self, name: str) -> list[Problem]:
        """Return what is wrong with the file of a pipeline, and errors in what it is read with."""
        state = self._state()
        pipeline = state.by_name.get(name)
        own = {one for one in state.problems if pipeline and one.file == pipeline.file}
        return sorted(own.union(_problems_of(name, state)))

    def get(self, name: str) -> Pipeline:
        """Return a pipeline.

        Raises:
            ProblemsError: Its file is invalid and never was valid.
            UnknownPipeline: There is none of this name.
        """
        state = self._state()
        if name in state.by_name:
            return state.by_name[name]
        own = _problems_of(name, state)
        if own:
            raise ProblemsError(own)
        hint = did_you_mean(name, state.by_name, listed_as="there are")
        raise UnknownPipeline(f'no pipeline is named "{name}"; {hint}')

    def refresh(self, *, patience_s: float = 20.0, sparing: bool = False) -> bool:
        """Read the files again that were changed or added; True if anything is different.

        A pipeline whose file is removed is no longer active; one whose file is broken stays
        in force as it was. So do all of them where their disk takes longer than `patience_s`; the
        first time it is waited for.

        `sparing` is for who asks again and again: of thousands of files, which take a while to
        look at, it is not asked each time.
        """
        resting = time.monotonic() < self._rest_until and not self._looking.pending
        if sparing and resting:
            return False
        return self._looking.changed(patience_s=None if self._seen is None else patience_s)

    def _look(self) -> bool:
        with self._lock:
            before = self._seen or _State()
            began = time.thread_time()
            stamps = _stamps(self._settings.pipelines)
            outdated = _outdated(before)
            self._rest_after(time.thread_time() - began)
            if self._seen is not None and stamps == before.stamps and not outdated:
                return False
            files = self._read(stamps, before, outdated)
            self._seen = _next_state(before, stamps, files, self._combined(files, before))
        return True

    def _rest_after(self, took_s: float) -> None:
        rest_s = 0.0 if took_s < _SHORT_LOOK_S else min(took_s * _REST, _LONGEST_REST_S)
        self._rest_until = time.monotonic() + rest_s

    @property
    def staying(self) -> set[str]:
        """The names of pipelines that stay active although their files are broken."""
        state = self._state()
        return {
            last.name for path, last in state.good.items() if state.files[path].pipeline is not last
        }

    @property
    def held(self) -> dict[str, str]:
        """Pipelines that are not in force but not removed either, and why.

        Their files are there and broken, and the last good version could not be reinstated.
        """
        state = self._state()
        return {
            name: lost.why
            for name, lost in self._lost.items()
            if name not in state.by_name
            and lost.path in state.files
            and lost.path not in state.good
        }

    def reinstate(self, kept: Iterable[Mapping[str, Any]]) -> list[str]:
        """Put last good versions into effect whose files are broken; returns their names.

        `kept` has rows of `kept_sources`: what was active in the previous daemon. A process that
        has only seen the broken file knows no other version. See `held` for what cannot be
        reinstated.
        """
        state = self._state()
        last_good = LastGood(self._settings, self._registry)
        with self._lock:
            broken = {path: one for path, one in state.files.items() if path not in state.good}
            reinstated: dict[str, Pipeline] = {}
            lost: dict[str, LostVersion] = {}
            for row in kept:
                path = last_good.file_of(row, broken)
                if path is None:
                    continue
                found = last_good.version(row, path)
                if isinstance(found, Pipeline):
                    reinstated[path] = found
                else:
                    lost[row["name"]] = found
            self._lost = lost
            if reinstated:
                before = replace(state, good={**state.good, **reinstated})
                now = self._combined(state.files, before)
                self._seen = _next_state(before, state.stamps, state.files, now)
        return sorted(one.name for one in reinstated.values())

    def queues_below(self, names: Iterable[str | None]) -> set[str]:
        """Return the queues that runs of these pipelines need, and the runs that they start."""
        queues: set[str] = set()
        left, seen = list(names), set[str]()
        while left:
            pipeline = self.by_name.get(left.pop() or "")
            if pipeline is not None and pipeline.name not in seen:
                seen.add(pipeline.name)
                steps = (*pipeline.steps, *pipeline.handlers)
                queues |= {step.queue or self._settings.default_queue for step in steps}
                left += [step.pipeline for step in steps]
        return queues

    def folder_of(self, pipeline: Pipeline) -> str:
        """Return the pipeline's folder below the pipelines folder, '' for that one itself."""
        # A linked folder stays the one that is written: its files are beside the pipeline.
        root, folder = self._settings.pipelines, Path(os.path.abspath(pipeline.folder))
        if not folder.is_relative_to(root):
            root, folder = root.resolve(), folder.resolve()
        if not folder.is_relative_to(root):
            return ""
        relative = folder.relative_to(root).as_posix()
        return "" if relative == "." else relative

    def _state(self) -> _State:
        if self._seen is None:
            self.refresh()
        assert self._seen is not None
        return self._seen

    def _read(
        self, stamps: Mapping[str, Stamp], before: _State, outdated: Set[str]
    ) -> dict[str, LoadedFile]:
        """Return all files, those that cannot have changed as they were read before."""
        stale = tuple(
            path.removesuffix(DEFAULTS_FILE)
            for path in stamps.keys() | before.stamps.keys()
            if path.endswith(f"{os.sep}{DEFAULTS_FILE}")
            and stamps.get(path) != before.stamps.get(path)
        )
        defaults = Defaults(self._registry, self._settings)
        files = {}
        for path, now in stamps.items():
            known = before.files.get(path)
            unchanged = known is not None and before.stamps[path] == now
            if unchanged and path not in outdated and not path.startswith(stale):
                assert known is not None
                files[path] = known
            else:
                files[path] = load_file(Path(path), self._registry, self._settings, defaults)
        return files

    def _combined(self, files: Mapping[str, LoadedFile], before: _State) -> LoadResult:
        if not files:
            # Tells of a missing folder, too.
            return load_folder(self._settings.pipelines, self._registry, self._settings)
        kept: dict[str, Pipeline] = {}
        while True:
            now = combine(files.values(), kept=kept)
            # What stays active as it was speaks of other pipelines as it did: new files are
            # held against it, which may keep out more of them.
            staying = {last.name: last for last in _staying(before, files, now).values()}
            if staying.keys() <= kept.keys():
                return now
            kept |= staying


def _next_state(
    before: _State, stamps: Mapping[str, Stamp], files: Mapping[str, LoadedFile], now: LoadResult
) -> _State:
    """Return the state after a look at the files, the last good version of broken ones kept."""
    good: dict[str, Pipeline] = {}
    for path, loaded in files.items():
        if loaded.pipeline is not None and loaded.pipeline is now.pipelines.get(loaded.name or ""):
            good[path] = loaded.pipeline
    staying = _staying(before, files, now)
    in_force = {**now.pipelines, **{last.name: last for last in staying.values()}}
    return _State(stamps, files, {**good, **staying}, in_force, now.problems)


def _staying(
    before: _State, files: Mapping[str, LoadedFile], now: LoadResult
) -> dict[str, Pipeline]:
    """Return, by their files, the last good versions of pipelines whose files are broken."""
    staying: dict[str, Pipeline] = {}
    for path, last in before.good.items():
        if path not in files or last.name in now.pipelines:
            continue
        loaded = files[path]
        valid = now.pipelines.get(loaded.name or "")
        if valid is None or valid is not loaded.pipeline:
            staying[path] = last
    return staying


def _problems_of(name: str, state: _State) -> list[Problem]:
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


def _stamps(folder: Path) -> dict[str, Stamp]:
    return {path: stamp(path) for path in watched_files(folder)}


def _outdated(state: _State) -> set[str]:
    """Return the files that were read together with one, a calendar's, that has changed."""
    return {
        path
        for path, loaded in state.files.items()
        if loaded.looked_at
        and any(stamp(other) != then for other, then in loaded.looked_at.items())
    }
