"""Job classes by name: the files under `jobs/`, and dotted paths."""

import importlib
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from headrace.declarations.config import Settings
from headrace.declarations.lint.tables_of_sql import SqlUse
from headrace.engine.catalog.job_files import digest_of, folders_of
from headrace.engine.catalog.job_modules import JobModules, class_of_its_file, is_job
from headrace.engine.catalog.job_type import JobType
from headrace.engine.catalog.type_hints import describe
from headrace.errors import InvalidPayload, Problem, UnknownJobClass
from headrace.errors.suggestions import did_you_mean
from headrace.jobapi import former_names
from headrace.model.argument_types import IsTemplate, Mismatch, fit
from headrace.model.job_parameters import Finding, refused_names
from headrace.template.braces import has_template


class Registry:
    """All job classes that can be dispatched."""

    def __init__(
        self,
        package: str = "headrace.jobs",
        folder: Path | None = None,
        packages: Collection[str] = (),
    ) -> None:
        """`folder` holds further files of the package: a project's own `jobs/`.

        `packages` are others that a dotted path may lead into; nothing else is imported.
        """
        self._allowed = (package, "jobs", *packages)
        self._package = package
        self._packages = packages
        self._folder = folder
        self._types: dict[str, JobType] = {}
        self._broken: dict[str, str] = {}
        self._own: JobModules | None = None
        self._scanned = False
        self._loaded = ""

    @property
    def loaded(self) -> str:
        """The digest of the job files as they were when this process loaded them."""
        self._scan()
        return self._loaded

    @property
    def project_folders(self) -> list[Path]:
        """The folders of the job files that are not Headrace's own."""
        return folders_of(self._packages, self._folder)

    @cached_property
    def project_files(self) -> str:
        """The digest of the project's job files as they were before this process loaded one."""
        return digest_of(self.project_folders)

    def on_disk(self) -> str:
        """Return the digest of the job files as they are now."""
        ours = Path(importlib.import_module(self._package).__path__[0]).resolve()
        folders = [ours, *self.project_folders]
        return digest_of(dict.fromkeys(folders))

    def load(self) -> None:
        """Import the job classes and what reads their arguments: before a worker's first fork."""
        from headrace.model import typed_values  # noqa: F401

        self._scan()

    def names(self) -> Collection[str]:
        """Return the names of the classes under `jobs/`, sorted."""
        self._scan()
        return sorted(name for name in self._types if "." not in name)

    def clashes(self) -> list[Problem]:
        """Return where two files of the project have one name, or define one class."""
        remedy = "rename one of them"
        return [
            Problem(file, 0, 0, "taken-twice", told, remedy)
            for file, told in self._own_modules().clashes
        ]

    def get(self, name: str) -> JobType:
        """Return a job class by its name or dotted path.

        Raises:
            UnknownJobClass: There is none; the message says what resembles it.
        """
        if name not in self._types and not self._scanned:
            self._find(name)
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

    def begins_at_once(self, name: str, payload: Mapping[str, Any]) -> bool:
        """Return whether a job is known to begin with a statement on the control database."""
        if payload.get("connection") or not payload.get("transaction", True):
            return False
        return self.works_at_once(name)

    def works_at_once(self, name: str) -> bool:
        """Return whether a job begins with the statement that it was given, wherever it works.

        Asked of the class itself: one derived from it may do other things first.
        """
        try:
            return bool(vars(self.get(name).cls).get("begins_at_once", False))
        except UnknownJobClass:
            return False  # Told when the job is made.

    def in_sql(self, name: str) -> Collection[str]:
        """Return the paths of a job's texts that are parts of SQL; see `BaseJob.in_sql`."""
        try:
            return tuple(getattr(self.get(name).cls, "in_sql", ()))
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

    def tables(self, job: str, with_: Mapping[str, Any], connection: str | None) -> SqlUse:
        """Return what a job does to tables of one database beside its SQL, as its class says."""
        try:
            return self.get(job).tables(with_, connection)
        except UnknownJobClass:
            return SqlUse()

    def kept_as_text(self, job: str) -> Collection[str]:
        """Return the parameters of a job that take a number for its text: `[sleep, 1.50]`."""
        try:
            return self.get(job).kept_as_text
        except UnknownJobClass:
            return ()

    def kept_digits(self, job: str) -> Collection[str]:
        """Return the parameters of a job that take a Decimal: every digit of `0.10` counts."""
        try:
            return self.get(job).kept_digits
        except UnknownJobClass:
            return ()

    def make(self, name: str, payload: Mapping[str, Any]) -> Any:
        """Return an instance, its arguments checked and read by their type hints.

        Raises:
            UnknownJobClass, InvalidPayload: As their messages say.
        """
        arguments = self.arguments(name, payload)
        job = self.get(name).cls(**arguments)
        job.payload = payload
        return job

    def make_of_known(self, name: str, payload: Mapping[str, Any], is_unknown: IsTemplate) -> Any:
        """Return an instance for the sake of the arguments that are known.

        The others are handed on as they are, and so is what does not fit.
        """
        kind = self.get(name)
        arguments = dict(payload)
        for key in payload.keys() & kind.parameters.keys():
            with suppress(Mismatch):
                arguments[key] = fit(payload[key], kind.parameters[key].type, is_unknown)
        job = kind.cls(**arguments)
        job.payload = payload
        return job

    def arguments(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the constructor is given, a text as the date that its hint wants.

        Raises:
            UnknownJobClass, InvalidPayload: As their messages say.
        """
        arguments: dict[str, Any] = {}
        for _path, code, message, hint in self._judge(name, payload, None, arguments):
            kind = UnknownJobClass if code == "unknown-job" else InvalidPayload
            raise kind(f"{message}; {hint}" if hint else message)
        return arguments

    def check(self, job: str, with_: Mapping[str, Any]) -> list[Finding]:
        """Return what is wrong with these arguments, templates left to be judged when rendered."""
        return list(self._judge(job, with_, has_template, {}))

    def _judge(
        self,
        job: str,
        with_: Mapping[str, Any],
        is_template: IsTemplate | None,
        arguments: dict[str, Any],
    ) -> Iterator[Finding]:
        """Yield what is wrong, and put what is right into `arguments`."""
        try:
            kind = self.get(job)
        except UnknownJobClass as error:
            message, _, hint = str(error).partition("; ")
            yield (), "unknown-job", message, hint
            return
        yield from refused_names(job, kind.cls, with_, anything=kind.accepts_anything)
        known = kind.parameters
        for key, value in with_.items():
            type_ = known[key].type if key in known else None
            try:
                arguments[key] = fit(value, type_, is_template)
            except Mismatch as found:
                message = f'the parameter "{key}" of {job} '
                message += found.rule or f"takes {describe(type_)}"
                yield (key, *found.path), "wrong-type", message, ""
        if kind.faults_of is not None:
            for key, message, remedy in kind.faults_of(with_):
                yield (key,), "refused-value", message, remedy

    def _unknown(self, name: str) -> str:
        if name in self._broken:
            return self._broken[name]
        guess = did_you_mean(name, self.names(), listed_as="known jobs")
        return f'unknown job "{name}"; {guess} `headrace jobs --types` lists them.'

    def _find(self, name: str) -> None:
        """Load the one file that has a class, where that can be known; else all, or none."""
        own = self._own_modules()
        if "." in name:
            return
        found = own.classes.get(name)
        if found is None and name not in own.broken:
            found = class_of_its_file(self._package, name)
        if found is None:
            self._scan()
        else:
            self._types[name] = JobType(name, found)

    def _own_modules(self) -> JobModules:
        if self._own is None:
            _ = self.project_files  # First: what is changed meanwhile counts as not loaded.
            self._own = JobModules(None, self._folder)
        return self._own

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        # First: what is changed meanwhile counts as not loaded.
        _ = self.project_files
        self._loaded = self.on_disk()
        found = JobModules(self._package, self._folder)
        self._broken = found.broken
        self._types = {name: JobType(name, cls) for name, cls in found.classes.items()}


def registry_of(settings: Settings) -> Registry:
    """Return the job classes of a project."""
    return Registry(folder=settings.project / "jobs", packages=settings.job_packages)


def _as_loaded(module_name: str) -> str:
    """Return the name under which a module of `jobs/` is loaded already, else the one given."""
    known = former_names.present_name(module_name)
    return known if known is not None and known in sys.modules else module_name


def _by_path(path: str, allowed: Collection[str]) -> type:
    module_name, _, name = path.rpartition(".")
    if not any(f"{module_name}.".startswith(f"{package}.") for package in allowed):
        # An import runs code: whoever can name a job must not choose which.
        raise UnknownJobClass(
            f'unknown job "{path}"; a dotted path leads into jobs/ or a package that job_packages'
            " in config.yaml lists"
        )
    try:
        with former_names.answered():
            cls = getattr(importlib.import_module(_as_loaded(module_name)), name)
    except Exception as error:  # noqa: BLE001 - a user's file may raise anything
        raise UnknownJobClass(
            f'unknown job "{path}"; it cannot be imported: {type(error).__name__}: {error}'
        ) from None
    if not is_job(cls):
        raise UnknownJobClass(f'unknown job "{path}"; it is not a subclass of BaseJob')
    found: type = cls
    return found
