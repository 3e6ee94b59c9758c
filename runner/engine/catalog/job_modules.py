"""Loads the files of job classes: those of Headrace, then those of the project."""

import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path
from typing import Any

from headrace.engine.catalog.project_files import classes_in, files_of, shown
from headrace.jobapi import former_names, project_jobs
from headrace.model.plan import FOREACH


class JobModules:
    """The job classes of all files by name, and why a class of some file is not among them.

    Without a package, those of the project's files only.
    """

    def __init__(self, package: str | None, own: Path | None) -> None:
        self.classes: dict[str, type] = {}
        self.broken: dict[str, str] = {}
        # What is wrong whoever names the job: the first file, and what it shares with another one.
        self.clashes: list[tuple[str, str]] = []
        self._twice: set[str] = set()
        self._files: dict[str, str] = {}
        with former_names.answered(own):
            if package is not None:
                for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
                    self._load(f"{package}.{module.name}")
            if own is not None and own.resolve() == project_jobs.folder():
                self._load_own(own)
        for name in self._twice:
            self.classes.pop(name, None)

    def _load_own(self, own: Path) -> None:
        """Load the project's files last: a later version may bring a class of the same name."""
        if (own / "__init__.py").is_file():
            # A package `jobs` of the project's own: what it does comes before its modules.
            self._load("jobs", own / "__init__.py", own)
        found = files_of(own)
        for name, file in found.modules.items():
            self._load(f"{project_jobs.PACKAGE}.{name}", file, own)
        for clash in found.clashes:
            self.clashes.append((clash.places[0], clash.told))
            for name in clash.names:
                self.classes.pop(name, None)
                self.broken[name] = (
                    f'the job "{name}" is not loaded; {clash.told}; rename one of them'
                )

    def _load(self, module_name: str, file: Path | None = None, own: Path | None = None) -> None:
        """Take a file's classes; one that does not load leaves the others alone."""
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # noqa: BLE001 - a user's file may raise anything
            told = f"{type(error).__name__}: {error}"
            self._leave_out(module_name.rpartition(".")[2], file, own, told)
            return
        if file is not None and own is not None:
            self._files[module_name] = shown(own, file)
        for name, cls in vars(module).items():
            own_class = isinstance(cls, type) and cls.__module__ == module_name
            if own_class and is_job(cls) and not name.startswith("_") and name != FOREACH:
                self._take(name, cls)

    def _leave_out(self, stem: str, file: Path | None, own: Path | None, told: str) -> None:
        meant = {_camel(stem)}
        if file is not None and own is not None:
            told = f"{shown(own, file)}: {told}"
            meant = set(classes_in(file)) | (meant if file.parent == own else set())
        for name in meant:
            # Not the built-in one that it may be meant to replace.
            self.classes.pop(name, None)
        for name in (stem, _camel(stem), *meant):
            self.broken[name] = f'the file of the job "{name}" cannot be loaded; {told}'

    def _take(self, name: str, cls: type) -> None:
        files = [
            self._files[one.__module__]
            for one in (self.classes.get(name), cls)
            if one is not None and one.__module__ in self._files
        ]
        if len(set(files)) > 1:
            told = f'two files define the job "{name}": {files[0]} and {files[1]}'
            self._twice.add(name)
            self.clashes.append((files[0], told))
            self.broken[name] = f"{told}; rename one of them"
        self.classes[name] = cls


def class_of_its_file(package: str, name: str) -> type | None:
    """Return the class of a package whose file has its name: RunSql of `run_sql.py`.

    So one class is found without loading the files of all others. None where there is no such
    file, or it cannot be loaded.
    """
    stem = _INNER_CAPITAL.sub(r"_\1", name).lower()
    if _camel(stem) != name or importlib.util.find_spec(f"{package}.{stem}") is None:
        return None
    try:
        found = vars(importlib.import_module(f"{package}.{stem}")).get(name)
    except Exception:  # noqa: BLE001 - told by who loads all files
        return None
    own = isinstance(found, type) and found.__module__ == f"{package}.{stem}"
    return found if own and is_job(found) else None


_INNER_CAPITAL = re.compile(r"(?<!^)([A-Z])")


def is_job(cls: Any) -> bool:
    """A subclass of BaseJob, told by its marks: the catalog imports no job by itself."""
    return (
        isinstance(cls, type)
        and callable(getattr(cls, "dispatch", None))
        and callable(getattr(cls, "handle", None))
        and cls.__name__ != "BaseJob"
    )


def _camel(stem: str) -> str:
    return "".join(part.capitalize() for part in stem.split("_"))
