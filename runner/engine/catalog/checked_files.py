"""Reads pipeline files, and remembers what was found in them from one process to the next.

A result is kept by a digest of all that it depends on. Kept are files without a problem, as far
as only Headrace's files, those of the project's jobs, and files whose content is looked
at again decide about them.
"""

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from headrace.declarations.calendar_files import stamp
from headrace.declarations.config import Settings
from headrace.declarations.defaults import DEFAULTS_FILE, Defaults, FolderDefaults
from headrace.declarations.loaded_file import LoadedFile
from headrace.declarations.source import read, shown_path
from headrace.engine.catalog.job_registry import Registry, registry_of
from headrace.engine.catalog.result_cache import ResultCache, digest
from headrace.engine.catalog.surroundings import foreign_modules, surroundings
from headrace.errors import Problem
from headrace.jobapi import project_jobs
from headrace.model.pipeline import Pipeline

# A larger file is known by its stamp: what reads it before a run looks at its existence only.
_MOST_READ_BYTES = 4_000_000
_OURS = f"{__name__.partition('.')[0]}."


class CheckedFiles:
    """Loads files for one look at a pipelines folder; `save` remembers what it has found."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._surroundings = surroundings(settings, registry)
        self._cache = ResultCache(settings.home, self._surroundings)
        self._keys: dict[str, str] = {}
        # With so many modules loaded: whether one of them is of nobody's files that are known.
        self._foreign: tuple[int, bool] | None = None

    def load(self, path: Path, defaults: Defaults) -> LoadedFile:
        """Return what `load_file` would, from the cache where nothing can have changed."""
        folder = Path(os.path.abspath(path)).parent
        outer = defaults.of(folder)
        content = read(path)
        if path.name == DEFAULTS_FILE or outer.problems or isinstance(content, Problem):
            from headrace.declarations.one_file import load_file

            return load_file(path, self._registry, self._settings, defaults)
        file = shown_path(path)
        key = self._key(file, folder, content, outer)
        self._keys[file] = key
        kept = self._cache.get(key)
        if kept is not None and is_as_it_was(kept["looked_at"]):
            return _loaded(kept, file, content)
        # Imported here: what is remembered needs none of the rules.
        from headrace.declarations.one_file import load_text

        loaded = load_text(content, path, self._registry, self._settings, defaults)
        self._remember(key, loaded)
        return loaded

    def found(self, pipeline: Pipeline, what: str) -> Any | None:
        """Return what was remembered of a pipeline as `what`, if it holds still."""
        key = self._keys.get(pipeline.file)
        kept = None if key is None else self._cache.get(digest(key, what))
        if kept is None or not is_as_it_was(kept["looked_at"]):
            return None
        return kept["found"]

    def remember(
        self, pipeline: Pipeline, what: str, found: Any, looked_at: Mapping[str, str | None]
    ) -> None:
        """Remember what was found in a pipeline.

        `looked_at` has the files that were looked at for it with their `content_of` before.
        """
        key = self._keys.get(pipeline.file)
        if key is not None:
            self._cache.put(digest(key, what), {"found": found, "looked_at": dict(looked_at)})

    def is_new(self, path: Path, defaults: Defaults) -> bool:
        """Return whether nothing is remembered of a file as it is."""
        folder = Path(os.path.abspath(path)).parent
        content = read(path)
        if isinstance(content, Problem):
            return False
        key = self._key(shown_path(path), folder, content, defaults.of(folder))
        return self._cache.get(key) is None

    def new_lines(self) -> list[str]:
        """Return what this process has found, for `add_lines` of the one that waits for it."""
        return self._cache.new_lines()

    def add_lines(self, lines: Iterable[str]) -> None:
        """Add what another process has found."""
        self._cache.add_lines(lines)

    def is_ours(self, pipeline: Pipeline) -> bool:
        """Return whether all jobs of a pipeline are Headrace's: what these look at is known."""
        return not self._foreign_jobs(pipeline)

    def save(self, *, make_home: bool = False) -> None:
        """Let later processes have what was found, unless something has changed meanwhile.

        Where there is no home yet, nothing is written unless `make_home` says so.
        """
        if not self._cache.has_news(make_home=make_home):
            return  # The look at some thousand files is saved.
        now = surroundings(self._settings, registry_of(self._settings))
        if now == self._surroundings:
            self._cache.save(make_home=make_home)

    def _key(self, file: str, folder: Path, content: bytes, outer: FolderDefaults) -> str:
        layers = [part for one in outer.documents for part in (one.file, "\n".join(one.lines))]
        return digest(self._surroundings, file, str(folder), content, outer.content, *layers)

    def _remember(self, key: str, loaded: LoadedFile) -> None:
        pipeline = loaded.pipeline
        if pipeline is None or loaded.problems or loaded.outer or not self._is_known(pipeline):
            return
        kept = {
            "name_at": loaded.name_at,
            "pipeline": replace(pipeline, source=b""),  # Its digest is in the key.
            "references": loaded.references,
            "links": loaded.links,
            "looked_at": {path: content_of(path) for path in loaded.looked_at},
        }
        # A calendar that has changed since it was read is not what the pipeline was made of.
        if all(stamp(path) == then for path, then in loaded.looked_at.items()):
            self._cache.put(key, kept)

    def _is_known(self, pipeline: Pipeline) -> bool:
        """Return whether nothing decides about the file that the digest is not of."""
        foreign = self._foreign_jobs(pipeline)
        if not foreign:
            return True
        judged = any(self._registry.get(job).faults_of is not None for job in foreign)
        return not judged and not self._foreign_modules()

    def _foreign_modules(self) -> bool:
        loaded = len(sys.modules)
        if self._foreign is None or self._foreign[0] != loaded:
            self._foreign = loaded, foreign_modules(self._settings, self._registry)
        return self._foreign[1]

    def _foreign_jobs(self, pipeline: Pipeline) -> list[str]:
        """Return the jobs of a pipeline whose classes are not Headrace's own."""
        steps = (*pipeline.steps, *pipeline.handlers)
        jobs = {step.job for step in steps if step.pipeline is None}
        return [job for job in jobs if not self._is_own_class(job)]

    def _is_own_class(self, job: str) -> bool:
        module = self._registry.get(job).cls.__module__
        return module.startswith(_OURS) and not module.startswith(f"{project_jobs.PACKAGE}.")


def content_of(path: str) -> str | None:
    """Return what tells one content of a file from another; None where there is nothing."""
    try:
        status = os.stat(path)  # noqa: PTH116 - thousands of them
        if stat.S_ISDIR(status.st_mode):
            return "folder"
        if status.st_size > _MOST_READ_BYTES:
            return repr(stamp(path))
        return sha256(Path(path).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def is_as_it_was(looked_at: Mapping[str, str | None]) -> bool:
    """Return whether the files that were looked at are what they were."""
    return all(content_of(path) == then for path, then in looked_at.items())


def _loaded(kept: Mapping[str, Any], file: str, content: bytes) -> LoadedFile:
    pipeline = replace(kept["pipeline"], source=content)
    looked_at = {path: stamp(path) for path in kept["looked_at"]}
    return LoadedFile(
        file,
        pipeline.name,
        kept["name_at"],
        pipeline,
        looked_at=looked_at,
        references=kept["references"],
        links=kept["links"],
    )
