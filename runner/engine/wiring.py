"""Putting the parts together: one object that daemon, web page and command line share."""

import logging
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self
from uuid import uuid4

from runner import embedded, jobapi
from runner.config import Settings, hidden_values, load_settings
from runner.engine.dispatcher import Dispatcher
from runner.engine.interventions import Interventions
from runner.engine.pipelines import Pipelines
from runner.engine.planner import Planner
from runner.engine.registry import Registry, registry_of
from runner.engine.subpipelines import Subpipelines
from runner.model.status import Trigger
from runner.queue.process import host_mark
from runner.queue.sender import Sender
from runner.secrecy import keep
from runner.store.database import Database, Row
from runner.store.migrations import upgrade

log = logging.getLogger("headrace.engine")


@dataclass
class Headrace:
    """A connected installation. `database_url` and `redis_url` name the servers in use."""

    settings: Settings
    database_url: str
    redis_url: str
    stack: ExitStack
    role: str = "cli"

    @cached_property
    def database(self) -> Database:
        """The control database."""
        database = Database(self.database_url, application_name=f"headrace:{self.role}")
        self.stack.callback(database.close)
        return database

    @cached_property
    def sender(self) -> Sender:
        """The line to Redis."""
        sender = Sender(self.redis_url)
        self.stack.callback(sender.close)
        return sender

    @cached_property
    def registry(self) -> Registry:
        """The job classes."""
        return registry_of(self.settings)

    @cached_property
    def pipelines(self) -> Pipelines:
        """The pipelines that the files declare."""
        return Pipelines(self.settings, self.registry)

    @cached_property
    def planner(self) -> Planner:
        """What makes plans of pipelines."""
        return Planner(self.settings, self.pipelines, self.registry)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """What makes rows and messages."""
        return Dispatcher(self.settings, self.database, self.sender, self.registry)

    @cached_property
    def subpipelines(self) -> Subpipelines:
        """What starts the runs of steps that run a pipeline."""
        return Subpipelines(self.database, self.dispatcher, self.pipelines, self.planner)

    @cached_property
    def interventions(self) -> Interventions:
        """What cancels, retries and pauses."""
        return Interventions(self.database, self.dispatcher)

    def start_run(
        self,
        pipeline: str,
        params: Mapping[str, Any],
        *,
        trigger: Trigger = Trigger.MANUAL,
        logical_date: datetime | None = None,
    ) -> Row:
        """Start a run of a pipeline and return its row.

        Raises:
            UnknownPipeline, ProblemsError, InvalidParams, TemplateError: It cannot start.
            StoreUnavailable: PostgreSQL does not answer; nothing was started.
        """
        self.pipelines.refresh()
        plan = self.planner.plan(
            self.pipelines.get(pipeline), params, logical_date or datetime.now(UTC), trigger
        )
        row = self.dispatcher.start_run(plan, trigger)
        log.info("run %s of %s started (%s)", row["id"], pipeline, trigger)
        return row

    def migrate(self) -> None:
        """Bring the control database's schema to this version."""
        upgrade(self.database_url)

    def afresh(self, role: str) -> "Headrace":
        """Return the same installation for a process forked from this one: nothing is shared."""
        fresh = Headrace(self.settings, self.database_url, self.redis_url, ExitStack(), role)
        jobapi.use_dispatcher(fresh.dispatcher)
        return fresh

    def close(self) -> None:
        """Close all connections; stop the embedded servers if nobody else uses them."""
        self.stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def connect(settings: Settings | None = None, *, role: str = "cli") -> Headrace:
    """Return the installation that the settings name, its embedded servers started.

    Raises:
        ConfigError, EmbeddedError: As their messages say.
    """
    settings = settings or load_settings()
    keep(hidden_values(settings), settings.withheld)
    stack = ExitStack()
    database_url, redis_url = settings.database_url, settings.redis_url
    if database_url is None or redis_url is None:
        servers = stack.enter_context(embedded.use(settings.home))
        database_url = database_url or servers.database_url
        redis_url = redis_url or servers.redis_url
    headrace = Headrace(settings, database_url, redis_url, stack, role)
    jobapi.use_dispatcher(headrace.dispatcher)
    return headrace


def process_name() -> str:
    """Return a name for this process that no other one ever has.

    Its last part begins with the host's mark: see `Recovery`, which looks at processes.
    """
    return f"{socket.gethostname()[:24]}.{os.getpid()}.{host_mark()}{uuid4().hex[:6]}"
