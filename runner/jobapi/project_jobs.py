"""The job files of a project: modules of a package of their own, whatever they are called.

`jobs/http.py` of a project and the room `headrace/jobs/http/` are two modules. In job files, rows
and pipeline files the first is `jobs.http`; the second has no other name than `headrace.jobs.http`.
What a project's file does not define, the one of Headrace that it hides answers: with a `base.py`
of the project's own, `from jobs.base import BaseJob` goes on working.

A process has one project at a time. The finder in `former_names` asks here.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from pkgutil import get_importer
from types import ModuleType
from typing import Any

OURS = "headrace.jobs"
PACKAGE = f"{OURS}.project_files"

_folder: Path | None = None


def folder() -> Path | None:
    """Return the folder of the project's job files, if there is a project that has one."""
    return _folder


def use(own: Path) -> None:
    """Take the files of this folder for the project's; what came from another one is forgotten."""
    global _folder  # noqa: PLW0603 - a process has one project at a time
    own = own.resolve()
    if own == _folder or not own.is_dir() or _is_ours(own):
        return
    if _folder is not None:
        for name, module in list(sys.modules.items()):
            if f"{_present_name(module)}.".startswith(f"{PACKAGE}."):
                del sys.modules[name]
    _folder = own
    package = ModuleType(PACKAGE)
    package.__spec__ = ModuleSpec(PACKAGE, None, is_package=True)
    package.__package__ = PACKAGE
    package.__path__ = []  # So that its modules are looked for by our finder only.
    sys.modules[PACKAGE] = package


def name_of(rest: str) -> str | None:
    """Return the module's name if the project has the file `jobs/<rest>`, with dots for slashes."""
    found = _found(rest)
    if found is None:
        return None
    # A folder without __init__.py may hold nothing but SQL, as `jobs/sql` does: ours goes first.
    is_module = found.loader is not None or not _exists(f"{OURS}.{rest}")
    return f"{PACKAGE}.{rest}" if is_module else None


def spec_of(name: str) -> ModuleSpec | None:
    """Return where a module of the package is, None if the project has none of that name."""
    rest = name.removeprefix(f"{PACKAGE}.")
    spec = _found(rest)
    if spec is not None and isinstance(spec.loader, SourceFileLoader):
        spec.loader = _Loader(spec.loader.name, spec.loader.path)
    return spec


def _found(rest: str) -> ModuleSpec | None:
    spec: ModuleSpec | None = None
    places: Sequence[str] | None = [str(_folder)] if _folder is not None else None
    parts = rest.split(".")
    for number in range(len(parts)):
        # Asked folder by folder: PathFinder wants the module of the folder above to be there.
        finder: Any = get_importer(places[0]) if places else None
        if finder is None:
            return None
        spec = finder.find_spec(".".join((PACKAGE, *parts[: number + 1])))
        places = spec.submodule_search_locations if spec is not None else None
    return spec


class _Loader(SourceFileLoader):
    """Loads a file of the project, which may hide a module of Headrace."""

    def exec_module(self, module: ModuleType) -> None:
        hidden = f"{OURS}.{module.__name__.removeprefix(f'{PACKAGE}.')}"

        def of_hidden(name: str) -> Any:
            if not name.startswith("__") and _exists(hidden):
                return getattr(import_module(hidden), name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        vars(module)["__getattr__"] = of_hidden
        super().exec_module(module)


def _present_name(module: ModuleType) -> str | None:
    """Return its name now: what stands for a package under its former name has a loader's."""
    spec: ModuleSpec | None = vars(module).get("__spec__")
    return getattr(spec.loader, "known", spec.name) if spec is not None else None


def _exists(name: str) -> bool:
    """Return whether Headrace itself has a module of that name."""
    parent, _, _ = name.rpartition(".")
    if parent != OURS and not _exists(parent):
        return False
    places = getattr(import_module(parent), "__path__", None)
    found = PathFinder.find_spec(name, places) if places is not None else None
    return found is not None and found.loader is not None


def _is_ours(own: Path) -> bool:
    """Return whether the folder is that of Headrace itself: the project is its repository."""
    return any(Path(known).resolve() == own for known in import_module(OURS).__path__)
