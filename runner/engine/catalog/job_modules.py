"""Loads the files of job classes: those of Headrace, then those of the project."""

import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path
from typing import Any

from headrace.jobapi import former_names, project_jobs
from headrace.model.plan import FOREACH


class JobModules:
    """The job classes of all files by name, and why a class of some file is not among them.

    Without a package, those of the project's files only.
    """

    def __init__(self, package: str | None, own: Path | None) -> None:
        self.classes: dict[str, type] = {}
        self.broken: dict[str, str] = {}
        self._twice: set[str] = set()
        with former_names.answered(own):
            if package is not None:
                for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
                    self._load(f"{package}.{module.name}")
            if own is not None and own.resolve() == project_jobs.folder():
                self._load_own(own)
        for name in self._twice:
            del self.classes[name]

    def _load_own(self, own: Path) -> None:
        """Load the project's files last: a later version may bring a class of the same name."""
        if (own / "__init__.py").is_file():
            # A package `jobs` of the project's own: what it does comes before its modules.
            self._load("jobs")
        for module in pkgutil.iter_modules([str(own)]):
            self._load(f"{project_jobs.PACKAGE}.{module.name}")

    def _load(self, module_name: str) -> None:
        """Take a file's classes; one that does not load leaves the others alone."""
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # noqa: BLE001 - a user's file may raise anything
            stem = module_name.rpartition(".")[2]
            # Not the built-in one that it may be meant to replace.
            self.classes.pop(_camel(stem), None)
            for name in (stem, _camel(stem)):
                self.broken[name] = (
                    f'the file of the job "{name}" cannot be loaded;'
                    f" {type(error).__name__}: {error}"
                )
            return
        for name, cls in vars(module).items():
            own = isinstance(cls, type) and cls.__module__ == module_name
            if own and is_job(cls) and not name.startswith("_") and name != FOREACH:
                self._take(name, cls)

    def _take(self, name: str, cls: type) -> None:
        files = [_file_of(one) for one in (self.classes.get(name), cls) if _is_own(one)]
        if len(set(files)) > 1:
            self._twice.add(name)
            self.broken[name] = (
                f'two files define the job "{name}": {files[0]} and {files[1]}; rename one of them'
            )
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


def _is_own(cls: type | None) -> bool:
    return cls is not None and cls.__module__.startswith(f"{project_jobs.PACKAGE}.")


def _file_of(cls: type | None) -> str:
    assert cls is not None
    return f"jobs/{cls.__module__.rpartition('.')[2]}.py"


def _camel(stem: str) -> str:
    return "".join(part.capitalize() for part in stem.split("_"))
