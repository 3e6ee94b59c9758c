"""Answers the module names of before, for job files, rows and messages that use them.

The package is `headrace`; its folders `runner` and `jobs` were packages of those names until 0.2.
`from jobs.base import BaseJob` in a project's file, `job: jobs.run_sql.RunSql` in a row go on
working. There is one copy of each module: two would have two current attempts.

The finder stands at the end of `sys.meta_path`, so that packages `jobs` and `runner` of others come
first, and only in Headrace's own processes: a program that imports `headrace` gets nothing else.
A project's own files of `jobs/` come before ours: `project_jobs`.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from headrace.jobapi import project_jobs

if TYPE_CHECKING:
    from importlib.abc import InspectLoader, MetaPathFinder
else:
    # Python asks no finder or loader what it descends from, and `importlib.abc` brings libraries
    # that take longer to load than the rest of a command's first steps.
    InspectLoader = MetaPathFinder = object

_PACKAGES = {"runner": "headrace", "jobs": "headrace.jobs"}
# Modules that have changed their places since, as far as users' files or messages name them.
_MOVED = {
    "runner.exact": "headrace.model.exact_json",
    "runner.folders": "headrace.jobapi.folders",
    "runner.secrecy": "headrace.observe.redaction",
    "jobs.scripts": "headrace.jobs.statements.user_sql",
    "jobs.results": "headrace.jobs.sql.query_result",
    "jobs.previews": "headrace.jobs.statements.previews",
    "jobs.catalogue": "headrace.jobs.tables.table_catalog",
}


def present_name(former: str) -> str | None:
    """Return the name that a module has now, None where it had none before."""
    package, dot, rest = former.partition(".")
    own = project_jobs.name_of(rest) if package == "jobs" and rest else None
    if own is not None:
        return own
    if former in _MOVED:
        return _MOVED[former]
    return f"{_PACKAGES[package]}{dot}{rest}" if package in _PACKAGES else None


class _StandIn(ModuleType):
    """A package under its former name: whatever is asked of it, the real one answers.

    Its path is empty. Otherwise Python would find the modules of the real one's folder, and load
    them once more.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__package__ = name
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if self.__name__ == "jobs" and project_jobs.name_of(name) is not None:
            return import_module(f"jobs.{name}")
        known = present_name(self.__name__)
        assert known is not None
        try:
            module = import_module(known)
        except ModuleNotFoundError as error:
            if error.name != known:
                raise
            # Its folder is gone. Programs that look at all modules expect nothing else.
            raise AttributeError(str(error), name=name, obj=self) from error
        return getattr(module, name)


class _Loader(InspectLoader):
    def __init__(self, known: str, own_package: Path | None) -> None:
        self.known = known
        self._own_package = own_package
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if spec.submodule_search_locations is not None:
            return _StandIn(spec.name)
        module = import_module(self.known)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        if self._spec is not None:
            module.__spec__ = self._spec  # Python has put that of the former name there.
        elif self._own_package is not None:
            module.__file__ = str(self._own_package)
            source = self._own_package.read_bytes()
            exec(compile(source, module.__file__, "exec"), vars(module))  # noqa: S102 - an import

    def get_source(self, fullname: str) -> str | None:  # noqa: ARG002 - as its class has it
        loader: Any = _spec_of(self.known).loader
        found: str | None = loader.get_source(self.known)
        return found

    def get_code(self, fullname: str) -> CodeType | None:  # noqa: ARG002 - for `python -m runner`
        loader: Any = _spec_of(self.known).loader
        found: CodeType | None = loader.get_code(self.known)
        return found


def _spec_of(known: str) -> ModuleSpec:
    spec = find_spec(known)
    assert spec is not None
    return spec


class _Finder(MetaPathFinder):
    """Finds `runner…` and `jobs…`, and the job files of a project."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of a former name is now; None for any other name."""
        del path, target
        if fullname.startswith(f"{project_jobs.PACKAGE}."):
            return project_jobs.spec_of(fullname) or self._of_headrace(fullname)
        known = present_name(fullname)
        if known is None:
            return None
        return _alias(fullname, known)

    def _of_headrace(self, fullname: str) -> ModuleSpec | None:
        """Return where ours is: `from .base import BaseJob` in a project's file."""
        rest = fullname.removeprefix(f"{project_jobs.PACKAGE}.")
        return _alias(fullname, f"{project_jobs.OURS}.{rest}")


def _alias(fullname: str, known: str) -> ModuleSpec | None:
    """Return the spec of a second name of a module, None if there is no such module."""
    try:
        spec = find_spec(known)
    except ModuleNotFoundError:
        return None
    if spec is None:
        return None
    is_package = spec.submodule_search_locations is not None
    loader = _Loader(known, _own_package() if fullname == "jobs" else None)
    return ModuleSpec(fullname, loader, origin=spec.origin, is_package=is_package)


def _own_package() -> Path | None:
    own = project_jobs.folder()
    found = own / "__init__.py" if own is not None else None
    return found if found is not None and found.is_file() else None


_finder = _Finder()


def answer(own_jobs: Path | None = None) -> None:
    """Answer the former names in this process from now on."""
    if own_jobs is not None:
        project_jobs.use(own_jobs)
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)


def stand_in(package: str) -> None:
    """Let the real package stand for the one that is being imported by its folder's name."""
    answer()
    spec = _finder.find_spec(package, None)
    assert spec is not None
    module = _StandIn(package)
    module.__spec__ = spec
    sys.modules[package] = module


def answer_for(own_jobs: Path) -> None:
    """Answer the former names from now on, and those of a project's job files.

    Not those of a package `jobs`: that may be a company's own, which Python finds by itself.
    """
    answer()
    if own_jobs.is_dir() and not (own_jobs / "__init__.py").exists():
        project_jobs.use(own_jobs)
        _take_the_projects_folder()


@contextmanager
def answered(own_jobs: Path | None = None) -> Iterator[None]:
    """Answer the former names while a project's files are loaded, which may use them."""
    for_good = _finder in sys.meta_path
    answer(own_jobs)
    _take_the_projects_folder()
    try:
        yield
    finally:
        if not for_good:
            sys.meta_path.remove(_finder)
            for name, module in list(sys.modules.items()):
                if present_name(name) and _is_former(name, module):
                    del sys.modules[name]


def _take_the_projects_folder() -> None:
    """Have `jobs` be the project's files and ours, also where the project is on `sys.path`.

    Python takes the folder for a package by itself then (`python -m headrace`, `rq worker`):
    it would load its files once more, and find nothing of ours in it.
    """
    own = project_jobs.folder()
    if own is None or "jobs" in sys.modules:
        return
    spec = PathFinder.find_spec("jobs")
    places = spec.submodule_search_locations if spec is not None else None
    if places is None or {Path(place).resolve() for place in places} != {own}:
        return
    found = _finder.find_spec("jobs", None)
    assert found is not None
    assert found.loader is not None
    module = sys.modules["jobs"] = module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception:  # noqa: BLE001 - the project's __init__.py may raise anything
        del sys.modules["jobs"]  # Whoever imports it is told.


def _is_former(name: str, module: ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)
    return isinstance(module, _StandIn) or (spec is not None and spec.name != name)
