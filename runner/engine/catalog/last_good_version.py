"""The last good version of a pipeline whose file is broken, as the active daemon had it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.declarations.config import Settings
from headrace.declarations.loaded_file import LoadedFile
from headrace.declarations.source import shown_path
from headrace.engine.catalog.job_registry import Registry
from headrace.model.pipeline import Pipeline
from headrace.model.stored import from_stored


@dataclass(frozen=True, slots=True)
class LostVersion:
    """The reason why the pipeline of a broken file is not available."""

    path: str
    why: str


class LastGood:
    """Finds rows of `kept_sources` their files, and reads them again."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry

    def file_of(self, row: Mapping[str, Any], broken: Mapping[str, LoadedFile]) -> str | None:
        """Return which of the broken files the row was read from, if it is one of them.

        A release may have moved the whole folder, which then tells by the place below it.
        """
        was = os.path.abspath(row["file"])
        for path in broken:
            if os.path.abspath(path) == was:
                return path
        folder = os.path.abspath(self._settings.pipelines)
        if Path(was).is_relative_to(folder):
            return None
        places = {path: os.path.relpath(path, folder) for path in broken}
        alike = [
            path
            for path, place in places.items()
            if was.endswith(f"{os.sep}{place}") and broken[path].name in (None, row["name"])
        ]
        return max(alike, key=lambda path: len(places[path]), default=None)

    def version(self, row: Mapping[str, Any], path: str) -> Pipeline | LostVersion:
        """Return the pipeline that the row holds, as one of the file at this path."""
        if row["built"] is not None:
            try:
                found = _built(row, path)
            except ValueError:
                found = None  # By a later version: the text may do.
            # A leader of an earlier version changes the row, and leaves this column as it was.
            if found is not None and found.version == row["version"]:
                return found
        return self._read_again(row, path)

    def _read_again(self, row: Mapping[str, Any], path: str) -> Pipeline | LostVersion:
        """Return what the text means today: all that an earlier version has stored."""
        if row["source"] is None:
            return LostVersion(path, "an earlier version did not store it; fix the file")
        # Imported here: seldom needed, and it brings all rules.
        from headrace.declarations.one_file import load_text

        loaded = load_text(bytes(row["source"]), Path(path), self._registry, self._settings)
        if loaded.pipeline is not None and loaded.name == row["name"]:
            return loaded.pipeline
        problems = [*loaded.problems, *loaded.outer]
        why = f": {problems[0]}" if problems else ""
        return LostVersion(path, f"its last valid version can no longer be read{why}")


def _built(row: Mapping[str, Any], path: str) -> Pipeline:
    return from_stored(
        bytes(row["built"]),
        file=shown_path(Path(path)),
        folder=str(Path(os.path.abspath(path)).parent),
        source=bytes(row["source"] or b""),
    )
