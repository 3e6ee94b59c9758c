"""Answers the module names of before, for job files, rows and messages that use them.

The package is `headrace`; its folders `runner` and `jobs` were packages of those names until 0.2.
`from jobs.base import BaseJob` in a project's file, `job: jobs.run_sql.RunSql` in a row go on
working. There is one copy of each module: two would have two current attempts.

The finder stands at the end of `sys.meta_path`, so that packages `jobs` and `runner` of others come
first, and only in Headrace's own processes: a program that imports `headrace` gets nothing else.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

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
    if former in _MOVED:
        return _MOVED[former]
    package, dot, rest = former.partition(".")
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
        known = present_name(self.__name__)
        assert known is not None
        return getattr(import_module(known), name)


class _Loader(InspectLoader):
    def __init__(self, known: str, own_package: Path | None) -> None:
        self._known = known
        self._own_package = own_package
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if spec.submodule_search_locations is not None:
            return _StandIn(spec.name)
        module = import_module(self._known)
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
        loader: Any = _spec_of(self._known).loader
        found: str | None = loader.get_source(self._known)
        return found

    def get_code(self, fullname: str) -> CodeType | None:  # noqa: ARG002 - for `python -m runner`
        loader: Any = _spec_of(self._known).loader
        found: CodeType | None = loader.get_code(self._known)
        return found


def _spec_of(known: str) -> ModuleSpec:
    spec = find_spec(known)
    assert spec is not None
    return spec


class _Finder(MetaPathFinder):
    """Finds `runner…` and `jobs…`. `own_jobs` is the project's folder of job files."""

    own_jobs: Path | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of a former name is now; None for any other name."""
        del path, target
        known = present_name(fullname)
        if known is None:
            return None
        try:
            spec = find_spec(known)
        except ModuleNotFoundError:
            return None
        if spec is None:
            return None
        is_package = spec.submodule_search_locations is not None
        loader = _Loader(known, self._own_package() if fullname == "jobs" else None)
        return ModuleSpec(fullname, loader, origin=spec.origin, is_package=is_package)

    def _own_package(self) -> Path | None:
        found = self.own_jobs / "__init__.py" if self.own_jobs is not None else None
        return found if found is not None and found.is_file() else None


_finder = _Finder()


def answer() -> None:
    """Answer the former names in this process from now on."""
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


@contextmanager
def answered(own_jobs: Path | None = None) -> Iterator[None]:
    """Answer the former names while a project's files are loaded, which may use them."""
    _finder.own_jobs = own_jobs or _finder.own_jobs
    if _finder in sys.meta_path:
        yield
        return
    sys.meta_path.append(_finder)
    try:
        yield
    finally:
        sys.meta_path.remove(_finder)
        for name, module in list(sys.modules.items()):
            spec = getattr(module, "__spec__", None)
            if present_name(name) and (
                isinstance(module, _StandIn) or (spec and spec.name != name)
            ):
                del sys.modules[name]


def _is_former(name: str, module: ModuleType) -> bool:
    spec = module.__spec__
    return isinstance(module, _StandIn) or (spec is not None and spec.name != name)
