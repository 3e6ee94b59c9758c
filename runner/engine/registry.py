"""Job classes by name: the files under `jobs/`, and dotted paths."""

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.config import Settings
from runner.engine.docstrings import meanings_of
from runner.engine.hints import describe, fits, takes_text_and_numbers, templated
from runner.engine.jobfiles import digest_of, folders_of
from runner.errors import InvalidPayload, UnknownJobClass
from runner.model.plan import FOREACH
from runner.suggest import did_you_mean

Finding = tuple[str | None, str, str, str]
"""(offending key of `with`, code, message, hint)"""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a job class; `type` is None where the class does not say."""

    name: str
    type: Any
    required: bool
    default: Any


class JobType:
    """A job class as the registry knows it."""

    def __init__(self, name: str, cls: type) -> None:
        self.name = name
        self.cls = cls

    @property
    def transactional(self) -> bool:
        """Whether the effect commits with the completion."""
        return bool(getattr(self.cls, "transactional", True))

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        return (inspect.getdoc(self.cls) or "").partition("\n")[0]

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters that `with` may hold, base classes' included."""
        found: dict[str, Parameter] = {}
        for cls in reversed(self.cls.__mro__):
            if "__init__" in vars(cls) and cls is not object:
                found |= _own_parameters(cls)
        return found

    @cached_property
    def meanings(self) -> dict[str, str]:
        """What the docstrings say of the parameters, by their names."""
        return meanings_of(self.cls)

    @cached_property
    def takes_anything(self) -> bool:
        """Whether no class in the line but the base names its parameters."""
        return bool(getattr(self.cls, "any_parameters", False))

    @cached_property
    def faults_of(self) -> Callable[[Mapping[str, Any]], Iterable[Any]] | None:
        """What finds the arguments that the class refuses whatever their type, if it does."""
        found: Callable[[Mapping[str, Any]], Iterable[Any]] | None
        found = getattr(self.cls, "faults_of", None)
        return found


def _own_parameters(cls: type) -> dict[str, Parameter]:
    init = vars(cls)["__init__"]
    try:
        hints = typing.get_type_hints(init)
    except Exception:  # noqa: BLE001 - a user's annotation may name anything
        hints = {}
    return {
        parameter.name: Parameter(
            parameter.name,
            hints.get(parameter.name),
            parameter.default is parameter.empty,
            None if parameter.default is parameter.empty else parameter.default,
        )
        for parameter in list(inspect.signature(init).parameters.values())[1:]
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


class Registry:
    """All job classes that can be dispatched."""

    def __init__(
        self, package: str = "jobs", folder: Path | None = None, packages: Collection[str] = ()
    ) -> None:
        """`folder` holds further files of the package: a project's own `jobs/`.

        `packages` are others that a dotted path may lead into; nothing else is imported.
        """
        self._allowed = (package, *packages)
        self._package = package
        self._folder = folder
        self._types: dict[str, JobType] = {}
        self._broken: dict[str, str] = {}
        self._scanned = False
        self._loaded = ""

    @property
    def loaded(self) -> str:
        """The digest of the job files as they were when this process loaded them."""
        self._scan()
        return self._loaded

    def on_disk(self) -> str:
        """Return the digest of the job files as they are now."""
        return digest_of(folders_of(self._allowed, self._folder))

    def names(self) -> Collection[str]:
        """Return the names of the classes under `jobs/`, sorted."""
        self._scan()
        return sorted(name for name in self._types if "." not in name)

    def get(self, name: str) -> JobType:
        """Return a job class by its name or dotted path.

        Raises:
            UnknownJobClass: There is none; the message says what resembles it.
        """
        self._scan()
        if name not in self._types:
            if "." not in name:
                raise UnknownJobClass(self._unknown(name))
            self._types[name] = JobType(name, _by_path(name, self._allowed))
        return self._types[name]

    def referring(self, name: str) -> Collection[str]:
        """Return the parameters in whose texts `${NAME}` names a variable of the worker."""
        try:
            return tuple(getattr(self.get(name).cls, "referring", ()))
        except UnknownJobClass:
            return ()  # Told when the job is made.

    def result_keys(self, job: str) -> Collection[str] | Mapping[str, type] | None:
        """Return the keys that a job's result can have, None where its class does not say."""
        try:
            found: Collection[str] | Mapping[str, type] | None = getattr(
                self.get(job).cls, "result_keys", None
            )
        except UnknownJobClass:
            return None
        return found

    def kept_as_text(self, job: str) -> Collection[str]:
        """Return the parameters of a job that take a number for its text: `[sleep, 1.50]`."""
        try:
            known = self.get(job).parameters
        except UnknownJobClass:
            return ()
        return [name for name, one in known.items() if takes_text_and_numbers(one.type)]

    def make(self, name: str, payload: Mapping[str, Any]) -> Any:
        """Return an instance, its arguments checked.

        Raises:
            UnknownJobClass, InvalidPayload: As their messages say.
        """
        problems = self.check(name, payload)
        if problems:
            _key, code, message, hint = problems[0]
            kind = UnknownJobClass if code == "unknown-job" else InvalidPayload
            raise kind(f"{message}; {hint}" if hint else message)
        return self.get(name).cls(**payload)

    def check(self, job: str, with_: Mapping[str, Any]) -> list[Finding]:
        """Return what is wrong with dispatching `job` with these arguments."""
        try:
            kind = self.get(job)
        except UnknownJobClass as error:
            message, _, hint = str(error).partition("; ")
            return [(None, "unknown-job", message, hint)]
        if kind.takes_anything:
            return []
        known = kind.parameters
        findings: list[Finding] = [
            (
                key,
                "unknown-parameter",
                f'{job} has no parameter "{key}"',
                did_you_mean(key, known, listed_as="it takes"),
            )
            for key in with_
            if key not in known
        ]
        findings += [
            (None, "missing-parameter", f'{job} needs the parameter "{name}"', "")
            for name, parameter in known.items()
            if parameter.required and name not in with_
        ]
        for key, value in with_.items():
            if key in known and not templated(value) and not fits(value, known[key].type):
                findings.append(
                    (
                        key,
                        "wrong-type",
                        f'the parameter "{key}" of {job} takes {describe(known[key].type)}',
                        "",
                    )
                )
        if kind.faults_of is not None:
            findings += [(key, "refused-value", *told) for key, *told in kind.faults_of(with_)]
        return findings

    def _unknown(self, name: str) -> str:
        if name in self._broken:
            return f'the file of the job "{name}" cannot be loaded; {self._broken[name]}'
        guess = did_you_mean(name, self.names(), listed_as="known jobs")
        return f'unknown job "{name}"; {guess} `headrace jobs --types` lists them.'

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        # First: what is changed meanwhile counts as not loaded.
        self._loaded = self.on_disk()
        package = importlib.import_module(self._package)
        own = self._folder
        if own is not None and own.is_dir() and not _within(own, package.__path__):
            # Last, so that no file of the project stands before one that is installed.
            package.__path__.append(str(own))
        for module in pkgutil.iter_modules(package.__path__):
            self._load(f"{self._package}.{module.name}")

    def _load(self, module_name: str) -> None:
        """Register a file's classes; one that does not load leaves the others alone."""
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # noqa: BLE001 - a user's file may raise anything
            stem = module_name.rpartition(".")[2]
            self._broken[stem] = self._broken[_camel(stem)] = f"{type(error).__name__}: {error}"
            return
        for name, cls in vars(module).items():
            own = isinstance(cls, type) and cls.__module__ == module_name
            if own and _is_job(cls) and not name.startswith("_") and name != FOREACH:
                self._types[name] = JobType(name, cls)


def registry_of(settings: Settings) -> Registry:
    """Return the job classes of a project."""
    return Registry(folder=settings.project / "jobs", packages=settings.job_packages)


def _within(folder: Path, path: Iterable[str]) -> bool:
    return any(Path(known).resolve() == folder.resolve() for known in path)


def _camel(stem: str) -> str:
    return "".join(part.capitalize() for part in stem.split("_"))


def _is_job(cls: Any) -> bool:
    """A subclass of BaseJob, told by its marks: the registry imports no job by itself."""
    return (
        isinstance(cls, type)
        and callable(getattr(cls, "dispatch", None))
        and callable(getattr(cls, "handle", None))
        and cls.__name__ != "BaseJob"
    )


def _by_path(path: str, allowed: Collection[str]) -> type:
    module_name, _, name = path.rpartition(".")
    if not any(f"{module_name}.".startswith(f"{package}.") for package in allowed):
        # An import runs code: whoever can name a job must not choose which.
        raise UnknownJobClass(
            f'unknown job "{path}"; a dotted path leads into jobs/ or a package that job_packages'
            " in config.yaml lists"
        )
    try:
        cls = getattr(importlib.import_module(module_name), name)
    except Exception as error:  # noqa: BLE001 - a user's file may raise anything
        raise UnknownJobClass(
            f'unknown job "{path}"; it cannot be imported: {type(error).__name__}: {error}'
        ) from None
    if not _is_job(cls):
        raise UnknownJobClass(f'unknown job "{path}"; it is no subclass of BaseJob')
    found: type = cls
    return found
