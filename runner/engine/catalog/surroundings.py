"""A digest of all that may decide about pipeline files, beside the files themselves.

These are Headrace's own files and its libraries', the settings, the project's job files, the time
zones, and where the folders really are.
"""

import os
import sys
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from headrace.declarations.calendar_files import stamp
from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.result_cache import digest
from headrace.jobapi.folders import folders_of_code, own_folder
from headrace.model.version import __version__

# What says how work is done, and nothing about what a file may say. `up` and its children differ
# in some of them.
WITHOUT_EFFECT = frozenset(
    "database_url redis_url api_token host port workers grace_s kill_after_s max_jobs_per_child"
    " jobs_per_commit max_memory_bytes retention_s log_retention_s log_level log_format"
    " secrets".split()
)
# In a clone, and installed.
_OWN_FOLDERS = ("runner", "jobs", "schema", "headrace")
_LIBRARIES = ("site-packages", "dist-packages")


def surroundings(settings: Settings, registry: Registry) -> str:
    """Return the digest; any difference makes another one."""
    said = {
        one.name: getattr(settings, one.name)
        for one in fields(settings)
        if one.name not in WITHOUT_EFFECT
    }
    folders = (settings.project, settings.pipelines, *settings.outputs(), *settings.kept_folders())
    return digest(
        __version__,
        sys.version,
        _text(said),
        registry.project_files,
        _text([os.path.realpath(folder) for folder in folders]),
        # Nothing but texts and numbers, of some thousand files.
        repr(list(_stamps())),
    )


def foreign_modules(settings: Settings, registry: Registry) -> bool:
    """Return whether code was loaded that is in none of the files that the digest is of."""
    known = [os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix)]
    known += [os.path.realpath(path) for path in sys.path if _is_of_libraries(path)]
    known += [os.path.realpath(folder) for folder in folders_of_code(settings.project)]
    known += [os.path.realpath(folder) for folder in registry.project_folders]
    places = tuple(f"{place}{os.sep}" for place in known)
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    # The command's own script, as `.venv/bin/headrace`, imports nothing but us.
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return any(
        not os.path.realpath(file).startswith(places) for file in files if file and file != main
    )


def _stamps() -> Iterator[tuple[str, Any]]:
    for folder in _OWN_FOLDERS:
        yield from sorted(_stamps_below(str(own_folder() / folder)))
    # Who installs, updates or removes a library makes and removes a folder in these.
    places = [path for path in sys.path if _is_of_libraries(path)]
    zones = [os.path.join(place, name) for place in zoneinfo.TZPATH for name in ("", "+VERSION")]  # noqa: PTH118
    for path in (*places, *zones):
        yield path, stamp(path)


def _stamps_below(folder: str) -> Iterator[tuple[str, Any]]:
    left = [folder] if Path(folder).is_dir() else []
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if not entry.is_dir():
                    yield entry.path, stamp(entry.path)
                elif entry.name != "__pycache__":
                    left.append(entry.path)


def _is_of_libraries(path: str) -> bool:
    return any(name in path for name in _LIBRARIES)


def _text(value: Any) -> str:
    """Return a value with all its parts, also those that its `repr` hides."""
    if is_dataclass(value) and not isinstance(value, type):
        said = {one.name: getattr(value, one.name) for one in fields(value)}
        return f"{type(value).__name__}{_text(said)}"
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{key!r}:{_text(one)}' for key, one in value.items()))}}}"
    if isinstance(value, frozenset | set):
        return f"{{{','.join(sorted(map(_text, value)))}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    return repr(str(value) if isinstance(value, Path) else value)
