"""The settings of one process, fixed once they are loaded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.model.retry import RetryPolicy

_RETRY = RetryPolicy(intervals_s=(60.0, 300.0, 900.0))

_PASSWORD = re.compile(r"(?<=://)([^/?#]*):[^/?#]*@")
_SECRET_ARGUMENT = re.compile(
    r"([?&][^=&]*(?:password|passfile|secret|token)[^=&]*=)[^&]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What `config.yaml` and the environment say. Times are in seconds, paths absolute.

    `database_url` and `redis_url` are as the user wrote them; None means an embedded server.
    `project` is the folder of the configuration file, or the current folder without one.
    `retention_s` None keeps finished runs; `max_jobs_per_child` 0 never replaces a child.
    At most `jobs_per_commit` short jobs of one child share a commit, twice as many where others
    wait for them.
    A child larger than `max_memory_bytes` is replaced after its job, one of twice that size is
    stopped in it; 0 sets no bound.
    `shell_commands` lets jobs start programs, `allowed_hosts` lets them speak to these over HTTP,
    `job_packages` are those beside `jobs/` that a dotted path may lead into.
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
    connections: Mapping[str, str] = field(default_factory=dict, repr=False)
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
    shell_commands: bool = False
    allowed_hosts: tuple[str, ...] = ()
    job_packages: tuple[str, ...] = ()
    retention_s: float | None = None
    log_level: str = "info"
    log_format: str = "text"
    config_file: Path | None = None
    withheld: frozenset[str] = field(default=frozenset(), compare=False)
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)


def mask_url(url: str) -> str:
    """Return the URL as it may be shown: without its password and other secrets."""
    return _SECRET_ARGUMENT.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
