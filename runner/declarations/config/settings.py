"""The settings of one process, fixed once they are loaded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.jobapi.folders import Folders, folders_of_code
from headrace.model.connection import NamedConnection
from headrace.model.notifications import Notifications, Notify
from headrace.model.retry import RetryPolicy

_CONNECTIONS = {"warehouse": NamedConnection("control:///headrace_warehouse")}
_RETRY = RetryPolicy(intervals_s=(60.0, 300.0, 900.0))

# Up to the last @: one that is part of a password may not have been escaped. Without an @, what
# stands in the port's place and is no number may be a password, too.
_PASSWORD = re.compile(r"(?:(?<=://)|^(?!.*://))([^:@]*):.*@", re.DOTALL)
_NO_PORT = re.compile(r"(?<=://)([^:@/?#\[]*):(?![0-9]+(?:[,/?#]|$))[^/?#@]+")
_SECRET_ARGUMENT = re.compile(
    r"([?&][^=&]*(?:password|passfile|secret|token)[^=&]*=)[^&]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of `config.yaml` and the environment. Times are in seconds, paths absolute.

    `database_url` and `redis_url` are as the user wrote them; None means an embedded server.
    `project` is the folder of the configuration file, or the current folder without one.
    What jobs write goes below `output_folders`; None is `exports` beside `pipelines`.
    `retention_s` None keeps finished runs, `log_retention_s` None their logs as long as these.
    `max_jobs_per_child` 0 never replaces a child.
    A session of the web page ends after `session_lifetime_s`.
    At most `jobs_per_commit` short jobs of one child share a commit, twice as many where others
    wait for them.
    A child larger than `max_memory_bytes` is replaced after its job, one of twice that size is
    stopped in it; 0 sets no bound.
    `shell_commands` lets jobs start programs, `allowed_hosts` lets them speak to these over HTTP,
    `storage` has the object stores and SFTP servers that they may reach, with what opens them,
    `job_packages` are those beside `jobs/` that a dotted path may lead into, `hooks` the modules
    whose functions are called around each attempt.
    `notify` is the rule of pipelines that have none; links in `notifications` begin with
    `public_url`.
    `withheld` are the variables that the file takes for itself, `secrets` what those of them hold
    that nobody is to see.
    Whatever may hold a secret is left out of `repr`.
    """

    project: Path
    home: Path
    pipelines: Path
    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)
    api_token: str | None = field(default=None, repr=False)
    connections: Mapping[str, NamedConnection] = field(
        default_factory=lambda: dict(_CONNECTIONS), repr=False
    )
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    queues: tuple[str, ...] = ("high", "medium", "low")
    default_queue: str = "medium"
    timeout_s: float = 300.0
    retry: RetryPolicy = _RETRY
    pools: Mapping[str, int] = field(default_factory=dict)
    grace_s: float = 10.0
    kill_after_s: float = 5.0
    max_jobs_per_child: int = 10_000
    jobs_per_commit: int = 16
    max_memory_bytes: int = 2048 << 20
    alive_file: Path | None = None
    shell_commands: bool = False
    allowed_hosts: tuple[str, ...] = ()
    storage: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    output_folders: tuple[Path, ...] | None = None
    job_packages: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    public_url: str | None = None
    notify: Notify | None = None
    notifications: Notifications = field(default_factory=Notifications)
    retention_s: float | None = 365 * 86400.0
    log_retention_s: float | None = 30 * 86400.0
    session_lifetime_s: float = 43200.0
    log_level: str = "info"
    log_format: str = "text"
    opentelemetry: Mapping[str, Any] | None = field(default=None, repr=False)
    openlineage: Mapping[str, Any] | None = field(default=None, repr=False)
    config_file: Path | None = None
    withheld: frozenset[str] = field(default=frozenset(), compare=False)
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def folders(self, folder: str = "") -> Folders:
        """Return where the files of a pipeline lie whose own folder, below `pipelines`, is this."""
        return Folders(
            self.pipelines,
            self.pipelines,
            self.outputs(),
            kept=self.kept_folders(),
            sql=self.sql_folders,
        ).of(folder)

    @property
    def sql_folders(self) -> tuple[Path, ...]:
        """Return where an SQL file is looked for last: beside config.yaml, and beside the jobs."""
        return (self.project / "sql", self.project / "jobs" / "sql")

    def outputs(self) -> tuple[Path, ...]:
        """Return the folders below which jobs write."""
        if self.output_folders is None:
            return (self.pipelines.parent / "exports",)
        return self.output_folders

    def kept_folders(self) -> tuple[Path, ...]:
        """Return where no job may write: code, pipelines, settings, the embedded servers' state."""
        kept = [*folders_of_code(self.project), *self.sql_folders, self.pipelines]
        if not self.pipelines.is_relative_to(self.home):
            kept.append(self.home)
        return (*kept, self.config_file) if self.config_file else tuple(kept)


def mask_url(url: str) -> str:
    """Return the URL as it may be shown: without its password and other secrets."""
    masked = _NO_PORT.sub(r"\1:***", _PASSWORD.sub(r"\1:***@", url))
    return _SECRET_ARGUMENT.sub(r"\1***", masked)
