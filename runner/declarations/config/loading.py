"""Load the settings: the environment over `config.yaml` over the defaults."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from headrace.declarations.config.environment import overrides, variable_problem
from headrace.declarations.config.named_connections import (
    faults_of_connections,
    named_connections,
)
from headrace.declarations.config.notification_texts import reference_faults
from headrace.declarations.config.notifications import notification_faults, notification_settings
from headrace.declarations.config.references import References
from headrace.declarations.config.secrets import secret_values, withheld_and_secret
from headrace.declarations.config.settings import Settings
from headrace.declarations.schemas import departures, schema
from headrace.declarations.source import Document, KeyPath, read, scan, shown_path
from headrace.errors import ConfigError, Problem, ProblemsError
from headrace.errors.suggestions import did_you_mean
from headrace.jobapi.folders import overlapped
from headrace.model.duration import parse_duration_s
from headrace.model.retry import RetryPolicy

DEFAULT_FILE = "config.yaml"

_DURATIONS = ("timeout", "grace", "kill_after", "retention", "log_retention", "session_lifetime")
# Those that must not be 0s.
_POSITIVE = (("timeout",), ("session_lifetime",))


class ConfigProblems(ConfigError, ProblemsError):
    """The configuration holds mistakes; `problems` lists them all."""


def load_settings(
    environ: Mapping[str, str] | None = None,
    *,
    config_file: Path | None = None,
    without: Collection[str] = (),
) -> Settings:
    """Return the settings that hold here.

    The file is `config_file`, else `HEADRACE_CONFIG`, else `config.yaml` in the current
    folder, which may be missing. Keys of the file that `without` names are not read.

    Raises:
        ConfigError: the file or a variable is wrong; the message lists every mistake.
    """
    variables = os.environ if environ is None else environ
    file = _config_path(variables, config_file)
    loaded = _Loading(variables, file, without)
    if loaded.problems:
        raise ConfigProblems(loaded.problems)
    return loaded.settings()


def _config_path(environ: Mapping[str, str], given: Path | None) -> Path | None:
    named = environ.get("HEADRACE_CONFIG", "").strip()
    path = given or Path(named or DEFAULT_FILE)
    if path.is_file():
        return path.absolute()
    if given is None and not named and not path.exists():
        return None
    origin = f"environment variable HEADRACE_CONFIG: {named}" if given is None and named else path
    raise ConfigError(
        f"{origin}: there is no such configuration file [missing-file]\n"
        "  hint: config.example.yaml shows every key"
    )


class _Loading:
    """One loading: the merged data, where it came from, and what is wrong with it."""

    def __init__(
        self, environ: Mapping[str, str], file: Path | None, without: Collection[str] = ()
    ) -> None:
        self._file = file
        self._without = without
        self._document: Document | None = None
        self.problems: list[Problem] = []
        self._data: dict[str, Any] = {}
        self._from_environment: dict[KeyPath, Any] = {}
        self._withheld: frozenset[str] = frozenset()
        self._secrets: tuple[str, ...] = ()
        if file is not None:
            self._read_file(file, environ)
        self._from_environment, problems = overrides(environ)
        self.problems += problems
        for path, value in self._from_environment.items():
            self._set(path, value)
        self._check()

    def _read_file(self, file: Path, environ: Mapping[str, str]) -> None:
        content = read(file)
        if isinstance(content, Problem):
            self.problems.append(content)
            return
        document, problems = scan(content, shown_path(file))
        if document is None:
            # A file of comments alone sets nothing, which is fine.
            self.problems += [problem for problem in problems if problem.code != "empty-file"]
            return
        self.problems += problems
        self._document = document
        if not isinstance(document.data, dict):
            self._report((), "not-a-mapping", "the file is not a mapping", "write `key: value`")
            return
        references = References(environ)
        data = {key: value for key, value in document.data.items() if key not in self._without}
        self._data = references.replaced(data, schema("config"))
        self._withheld, secret = withheld_and_secret(references.used)
        self._secrets = secret_values(secret, environ)
        for path, name in references.unset:
            message = f"the environment variable {name} is not set"
            self._report(path, "unset-variable", message, "set it, or write $${…} for the text")
        for fault in reference_faults(references.used):
            self._report(*fault)

    def _set(self, path: KeyPath, value: Any) -> None:
        *parents, last = path
        target: Any = self._data
        for key in parents:
            if not isinstance(target.get(key), dict):
                target[key] = {}
            target = target[key]
        target[last] = value

    def _report(
        self, path: KeyPath, code: str, message: str, hint: str = "", *, of_key: bool = False
    ) -> None:
        if any(path[: len(named)] == named for named in self._from_environment):
            self.problems.append(variable_problem(path, code, message, hint))
        elif self._document is not None:
            place = self._document.at(path, key=of_key)
            file = self._document.file
            self.problems.append(Problem(file, *place, code, message, hint))
        else:
            self.problems.append(Problem("settings", 0, 0, code, message, hint))

    def _check(self) -> None:
        for path, code, message, hint, of_key in departures(self._data, "config"):
            self._report(path, code, message, hint, of_key=of_key)
        if self.problems:
            return
        for path in self._duration_paths():
            value = self._value(path)
            try:
                seconds = parse_duration_s(value)
            except ValueError as error:
                self._report(path, "bad-duration", str(error), "use a shorter one")
                continue
            if seconds == 0 and path in _POSITIVE:
                message = f'"{path[0]}" must be more than 0s'
                self._report(path, "bad-duration", message, "use 1s or more")
        for path, code, message, hint in faults_of_connections(self._value(("connections",))):
            self._report(path, code, message, hint)
        for fault in notification_faults(self._data):
            self._report(*fault)
        queues = self._value(("queues",))
        default_queue = self._value(("default_queue",))
        if default_queue not in queues:
            hint = did_you_mean(default_queue, queues, listed_as="queues")
            message = f'the default queue "{default_queue}" is not one of the queues'
            named = ("default_queue",) if "default_queue" in self._data else ("queues",)
            self._report(named, "unknown-queue", message, hint)

    def _duration_paths(self) -> list[KeyPath]:
        names: list[KeyPath] = [(name,) for name in _DURATIONS if self._value((name,)) is not None]
        intervals = self._value(("retry", "intervals"))
        return names + [("retry", "intervals", index) for index in range(len(intervals))]

    def _value(self, path: KeyPath) -> Any:
        """Return the value of a key, or its default from the schema."""
        value: Any = self._data
        described: Any = schema("config")
        for step in path:
            if isinstance(step, int):
                return self._value(path[:-1])[step]
            described = described["properties"][step]
            value = value.get(step) if isinstance(value, dict) else None
        return described.get("default") if value is None else value

    def _folder(self, name: str, project: Path) -> Path:
        # What a variable names is relative to where the command runs, as in every shell.
        base = Path.cwd() if (name,) in self._from_environment else project
        return Path(os.path.abspath(base / Path(self._value((name,))).expanduser()))

    def settings(self) -> Settings:
        """Return the settings. Only for data without problems.

        Raises:
            ConfigError: an output folder lies where code, pipelines or settings do.
        """
        settings = self._settings()
        for index, folder in enumerate(settings.outputs()):
            kept = overlapped(folder, settings.kept_folders())
            if kept is not None:
                named = settings.output_folders is not None
                self._report(
                    ("output_folders", index) if named else ("pipelines",),
                    "bad-folder",
                    f"jobs must not write to {folder}: it overlaps {kept}",
                    "name folders apart from code, pipelines, settings and `home`",
                )
        if self.problems:
            raise ConfigProblems(self.problems)
        return settings

    def _output_folders(self, project: Path) -> tuple[Path, ...] | None:
        named = self._value(("output_folders",))
        if named is None:
            return None
        return tuple(Path(os.path.abspath(project / Path(one).expanduser())) for one in named)

    def _settings(self) -> Settings:
        value = self._value
        project = self._file.parent if self._file else Path.cwd()
        return Settings(
            project=project,
            home=self._folder("home", project),
            pipelines=self._folder("pipelines", project),
            output_folders=self._output_folders(project),
            database_url=value(("database_url",)),
            redis_url=value(("redis_url",)),
            api_token=value(("api_token",)),
            connections=named_connections(value(("connections",)), project),
            host=value(("host",)),
            port=value(("port",)),
            workers=value(("workers",)),
            queues=tuple(value(("queues",))),
            default_queue=value(("default_queue",)),
            timeout_s=parse_duration_s(value(("timeout",))),
            retry=self._retry(),
            pools=dict(value(("pools",))),
            alive_file=self._alive_file(project),
            shell_commands=value(("shell_commands",)),
            job_packages=tuple(value(("job_packages",))),
            hooks=tuple(value(("hooks",))),
            allowed_hosts=tuple(value(("http", "allowed_hosts"))),
            storage=dict(value(("storage",))),
            retention_s=self._until_null("retention"),
            log_retention_s=self._until_null("log_retention"),
            session_lifetime_s=parse_duration_s(value(("session_lifetime",))),
            log_level=value(("log_level",)),
            log_format=value(("log_format",)),
            opentelemetry=value(("telemetry", "opentelemetry")),
            openlineage=value(("telemetry", "openlineage")),
            config_file=self._file,
            withheld=self._withheld,
            secrets=self._secrets,
            **self._limits_of_processes(),
            **notification_settings(value),
        )

    def _limits_of_processes(self) -> dict[str, Any]:
        value = self._value
        return {
            "grace_s": parse_duration_s(value(("grace",))),
            "kill_after_s": parse_duration_s(value(("kill_after",))),
            "max_jobs_per_child": value(("max_jobs_per_child",)),
            "jobs_per_commit": value(("jobs_per_commit",)),
            "max_memory_bytes": value(("max_memory_mb",)) << 20,
        }

    def _until_null(self, name: str) -> float | None:
        """Return the seconds of a duration that null, where it is written, switches off."""
        if name in self._data and self._data[name] is None:
            return None
        return parse_duration_s(self._value((name,)))

    def _alive_file(self, project: Path) -> Path | None:
        named = self._value(("alive_file",))
        return None if named is None else project / Path(named).expanduser()

    def _retry(self) -> RetryPolicy:
        intervals = self._value(("retry", "intervals"))
        return RetryPolicy(
            limit=self._value(("retry", "limit")),
            jitter=self._value(("retry", "jitter")),
            intervals_s=tuple(parse_duration_s(interval) for interval in intervals),
        )
