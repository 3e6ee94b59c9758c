"""The pipelines that are active: read from files, kept through broken edits."""

import os
import threading
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.declarations.calendar_files import Stamp
from headrace.declarations.config import Settings
from headrace.declarations.defaults import DEFAULTS_FILE, Defaults
from headrace.declarations.load import combine, load_folder
from headrace.declarations.loaded_file import LoadedFile, LoadResult
from headrace.engine.catalog.checked_files import CheckedFiles
from headrace.engine.catalog.file_states import (
    FileStates,
    next_state,
    outdated_in,
    problems_of,
    stamps_below,
    staying,
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


class Pipelines:
    """Pipelines that the files declare. Safe to share by threads: they see whole states only."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._lock = threading.Lock()
        self._seen: FileStates | None = None
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
        return sorted(own.union(problems_of(name, state)))

    def get(self, name: str) -> Pipeline:
        """Return a pipeline.

        Raises:
            ProblemsError: Its file is invalid and never was valid.
            UnknownPipeline: There is none of this name.
        """
        state = self._state()
        if name in state.by_name:
            return state.by_name[name]
        own = problems_of(name, state)
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
            before = self._seen or FileStates()
            began = time.thread_time()
            stamps = stamps_below(self._settings.pipelines)
            outdated = outdated_in(before)
            self._rest_after(time.thread_time() - began)
            if self._seen is not None and stamps == before.stamps and not outdated:
                return False
            files = self._read(stamps, before, outdated)
            self._seen = next_state(before, stamps, files, self._combined(files, before))
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
                self._seen = next_state(before, state.stamps, state.files, now)
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

    def _state(self) -> FileStates:
        if self._seen is None:
            self.refresh()
        assert self._seen is not None
        return self._seen

    def _read(
        self, stamps: Mapping[str, Stamp], before: FileStates, outdated: Set[str]
    ) -> dict[str, LoadedFile]:
        """Return all files, those that cannot have changed as they were read before."""
        stale = tuple(
            path.removesuffix(DEFAULTS_FILE)
            for path in stamps.keys() | before.stamps.keys()
            if path.endswith(f"{os.sep}{DEFAULTS_FILE}")
            and stamps.get(path) != before.stamps.get(path)
        )
        defaults = Defaults(self._registry, self._settings)
        # Later looks read what has been edited, with job classes that may be older than their file.
        checked = CheckedFiles(self._settings, self._registry) if self._seen is None else None
        load = self._load_again if checked is None else checked.load
        files = {}
        for path, now in stamps.items():
            known = before.files.get(path)
            unchanged = known is not None and before.stamps[path] == now
            if unchanged and path not in outdated and not path.startswith(stale):
                assert known is not None
                files[path] = known
            else:
                files[path] = load(Path(path), defaults)
        if checked is not None:
            checked.save()
        return files

    def _load_again(self, path: Path, defaults: Defaults) -> LoadedFile:
        # Imported here: a process that has its files from the cache needs none of the rules.
        from headrace.declarations.one_file import load_file

        return load_file(path, self._registry, self._settings, defaults)

    def _combined(self, files: Mapping[str, LoadedFile], before: FileStates) -> LoadResult:
        if not files:
            # Tells of a missing folder, too.
            return load_folder(self._settings.pipelines, self._registry, self._settings)
        kept: dict[str, Pipeline] = {}
        while True:
            now = combine(files.values(), kept=kept)
            # What stays active as it was speaks of other pipelines as it did: new files are
            # held against it, which may keep out more of them.
            stay = {last.name: last for last in staying(before, files, now).values()}
            if stay.keys() <= kept.keys():
                return now
            kept |= stay
