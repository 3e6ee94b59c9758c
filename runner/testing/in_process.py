"""An attempt in the test's own process: what it needs around it."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace

from headrace import jobapi
from headrace.declarations.config import Settings
from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.surroundings import Surroundings
from headrace.engine.catalog.job_registry import Registry
from headrace.model.connection import NamedConnection
from headrace.observe.joblog import JOB_LOGGER, JobLog
from headrace.observe.output import Spoken
from headrace.store.attempts import AttemptStore
from headrace.store.fresh_database import FreshDatabase
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from headrace.template.values import render_value

WORKER = "testing"
NO_CONNECTIONS: Mapping[str, str | FreshDatabase] = {}


def url_of(one: str | FreshDatabase) -> str:
    """Return the URL of a database that a test gives."""
    return one.url if isinstance(one, FreshDatabase) else one


def with_given(
    settings: Settings,
    connections: Mapping[str, str | FreshDatabase],
    permissions: jobapi.Permissions,
) -> Settings:
    """Return the settings with what a test gives."""
    return replace(
        settings,
        connections={name: NamedConnection(url_of(one)) for name, one in connections.items()},
        shell_commands=permissions.shell_commands,
        allowed_hosts=permissions.allowed_hosts,
    )


def executor_of(
    settings: Settings, store: AttemptStore, registry: Registry, log: JobLog
) -> Executor:
    """Return what executes attempts in this process."""
    sessions = JobSessions(store, settings.connections, JobGuard(), WORKER)
    sessions.say = log.say_one
    permissions = jobapi.Permissions(
        settings.shell_commands, settings.allowed_hosts, settings.storage
    )
    surroundings = Surroundings(settings.project, settings.folders(), render_value, permissions)
    return Executor(store, sessions, registry, surroundings, log)


@contextmanager
def heard(log: JobLog) -> Iterator[None]:
    """Have what is logged and printed in the block heard, as a worker's child does."""
    root, jobs = logging.getLogger(), logging.getLogger(JOB_LOGGER)
    levels = root.level, jobs.level
    out, err = Spoken(log, 1, logging.INFO), Spoken(log, 2, logging.WARNING)

    def drain() -> None:
        out.end_line()
        err.end_line()

    log.drain = drain
    root.addHandler(log)
    root.setLevel(min(root.level, logging.INFO))
    jobs.setLevel(logging.INFO)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        root.removeHandler(log)
        root.setLevel(levels[0])
        jobs.setLevel(levels[1])
