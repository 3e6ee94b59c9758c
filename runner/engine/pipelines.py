"""The pipelines that are in force: read from files, kept through broken edits."""

from collections.abc import Mapping
from pathlib import Path

from runner.config import Settings
from runner.engine.registry import Registry
from runner.errors import Problem, ProblemsError, UnknownPipeline
from runner.model.pipeline import Pipeline
from runner.spec import LoadResult, load_folder
from runner.suggest import did_you_mean

Signature = tuple[tuple[str, int, int], ...]


class Pipelines:
    """What `pipelines/` declares. `refresh` follows the files; readers see whole states only."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._loaded: LoadResult | None = None
        self._signature: Signature = ()

    @property
    def by_name(self) -> Mapping[str, Pipeline]:
        """The valid pipelines, and the last valid version of those that are broken now."""
        return self._state().pipelines

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the files as they are."""
        return self._state().problems

    def get(self, name: str) -> Pipeline:
        """Return a pipeline.

        Raises:
            ProblemsError: Its file is invalid and never was valid.
            UnknownPipeline: There is none of this name.
        """
        state = self._state()
        if name in state.pipelines:
            return state.pipelines[name]
        own = [p for p in state.problems if Path(p.file).stem == name and p.severity == "error"]
        if own:
            raise ProblemsError(own)
        hint = did_you_mean(name, state.pipelines, listed_as="there are")
        raise UnknownPipeline(f'no pipeline is named "{name}"; {hint}')

    def refresh(self) -> bool:
        """Read the files again where any was changed, added or removed; True if so."""
        signature = _signature(self._settings.pipelines)
        if self._loaded is not None and signature == self._signature:
            return False
        before = self._loaded
        fresh = load_folder(self._settings.pipelines, self._registry, self._settings)
        if before is not None:
            broken = {problem.file for problem in fresh.problems if problem.severity == "error"}
            for name, pipeline in before.pipelines.items():
                if name not in fresh.pipelines and pipeline.file in broken:
                    fresh.pipelines[name] = pipeline
        self._loaded, self._signature = fresh, signature
        return True

    def folder_of(self, pipeline: Pipeline) -> str:
        """Return the pipeline's folder below the pipelines folder, '' for that one itself."""
        root, folder = self._settings.pipelines.resolve(), Path(pipeline.folder).resolve()
        if not folder.is_relative_to(root):
            return ""
        relative = folder.relative_to(root).as_posix()
        return "" if relative == "." else relative

    def _state(self) -> LoadResult:
        if self._loaded is None:
            self.refresh()
        assert self._loaded is not None
        return self._loaded


def _signature(folder: Path) -> Signature:
    """Return what changes whenever a file below `folder` does."""
    files = []
    for pattern in ("*.yaml", "*.yml"):
        for path in folder.rglob(pattern):
            try:
                stat = path.stat()
            except OSError:
                continue
            files.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(sorted(files))
