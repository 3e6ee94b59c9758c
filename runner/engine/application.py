"""Putting the parts together: one object that daemon, web page and command line share."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from headrace import jobapi
from headrace.declarations.config import Settings, hidden_values, load_settings
from headrace.engine.dispatch.late_dispatcher import LateDispatcher
from headrace.model.connection import on_server
from headrace.model.moments import clock_of, instant_of
from headrace.model.status import Trigger
from headrace.observe.redaction import keep
from headrace.queue.keys import Keys, keys_of
from headrace.store import embedded
from headrace.store.database import Database
from headrace.store.migrations import LATEST, Schema, upgrade
from headrace.store.plain_database import PlainDatabase

if TYPE_CHECKING:
    from headrace.engine.catalog.job_registry import Registry
    from headrace.engine.catalog.pipeline_catalog import Pipelines
    from headrace.engine.dispatch.dispatcher import Dispatcher
    from headrace.engine.operations.interventions import Interventions
    from headrace.engine.planning.planner import Planner
    from headrace.engine.scheduling.subpipelines import Subpipelines
    from headrace.queue.sender import Sender
    from headrace.store.row_types import NewRun

log = logging.getLogger("headrace.engine")

# The leader's lease is shorter than what a client waits for a silent Redis: in its loop that wait
# is short, and is not made again and again.
_PATIENCE_S = {"daemon": 1.0}
_REST_S = {"daemon": 3.0}


@dataclass
class Headrace:
    """A connected installation. `database_url` and `redis_url` name the servers in use.

    Each part is made, and its modules are loaded, where it is first asked for: a command that lists
    runs needs a tenth of them.
    """

    settings: Settings
    database_url: str
    redis_url: str
    stack: ExitStack
    role: str = "cli"
    _keys: Keys | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        there = on_server(self.settings.connections, self.database_url)
        self.settings = replace(self.settings, connections=there)

    @cached_property
    def database(self) -> Database:
        """The control database."""
        kind = PlainDatabase if self.role == "cli" else Database
        database = kind(self.database_url, application_name=f"headrace:{self.role}")
        self.stack.callback(database.close)
        return database

    @cached_property
    def sender(self) -> "Sender":
        """The connection to Redis."""
        from headrace.queue.sender import Sender

        sender = Sender(
            self.redis_url,
            lambda: self.keys,
            socket_timeout_s=_PATIENCE_S.get(self.role, 10.0),
            rest_s=_REST_S.get(self.role, 1.0),
        )
        self.stack.callback(sender.close)
        return sender

    @property
    def keys(self) -> Keys:
        """The installation's keys in Redis, asked for once.

        Not a cached property: before Python 3.12 those hold a lock, and requests would wait for a
        silent PostgreSQL one after the other.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; asked again at the next use.
            SchemaMismatch: The schema is none that this version can work with.
        """
        if self._keys is None:
            schema = self.schema()
            schema.require()
            self._keys = keys_of(str(schema.installation))
        return self._keys

    def use_keys(self, keys: Keys) -> None:
        """Take the installation's keys from who has asked for them already."""
        self._keys = keys

    @cached_property
    def registry(self) -> "Registry":
        """The job classes."""
        from headrace.engine.catalog.job_registry import registry_of

        return registry_of(self.settings)

    def load_hooks(self) -> None:
        """Load the functions that are called around each attempt.

        Raises:
            ConfigError: A module of `hooks` cannot be imported.
        """
        from headrace.engine.catalog.hook_modules import load_hooks

        load_hooks(self.settings.hooks, self.registry, self.settings.project)

    @cached_property
    def pipelines(self) -> "Pipelines":
        """The pipelines that the files declare."""
        from headrace.engine.catalog.pipeline_catalog import Pipelines

        return Pipelines(self.settings, self.registry)

    @cached_property
    def planner(self) -> "Planner":
        """Return the planner, which makes plans of pipelines."""
        from headrace.engine.planning.planner import Planner

        return Planner(self.settings, self.pipelines, self.registry)

    @cached_property
    def dispatcher(self) -> "Dispatcher":
        """Return the dispatcher, which makes rows and messages."""
        from headrace.engine.dispatch.dispatcher import Dispatcher

        return Dispatcher(self.settings, self.database, self.sender, self.registry)

    @cached_property
    def subpipelines(self) -> "Subpipelines":
        """Return the starter of child runs: those of steps that run a pipeline."""
        from headrace.engine.scheduling.subpipelines import Subpipelines

        return Subpipelines(self.database, self.dispatcher, self.pipelines, self.planner)

    @cached_property
    def interventions(self) -> "Interventions":
        """Return the interventions: cancel, retry and pause."""
        from headrace.engine.operations.interventions import Interventions

        return Interventions(self.database, self.dispatcher)

    def with_progress(self, jobs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return rows of jobs with `progress`: see `job_progress`."""
        from headrace.engine.operations.job_progress import with_progress

        return with_progress(self.sender, jobs)

    def keep_last_good(self) -> list[str]:
        """Put into effect what the database has of pipelines whose files are broken.

        Returns their names.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        if not any(one.severity == "error" for one in self.pipelines.problems):
            return []
        rows = self.database.rows("kept_sources", names=list(self.pipelines.by_name))
        return self.pipelines.reinstate(rows)

    def start_run(
        self,
        pipeline: str,
        params: Mapping[str, Any],
        *,
        trigger: Trigger = Trigger.MANUAL,
        logical_date: datetime | str | None = None,
        idempotency_key: str | None = None,
    ) -> "NewRun":
        """Start a run of a pipeline and return its row.

        A second start with one `idempotency_key` returns the row of the first.
        A `logical_date` that is a text without an offset is on the clock of its schedule.

        Raises:
            UnknownPipeline, ProblemsError, InvalidParams, TemplateError: It cannot start.
            StoreUnavailable: PostgreSQL does not answer; nothing was started.
        """
        self.pipelines.refresh()
        declared = self.pipelines.get(pipeline)
        if isinstance(logical_date, str):
            logical_date = instant_of("logical_date", logical_date, clock_of(declared))
        plan = self.planner.plan(declared, params, logical_date or datetime.now(UTC), trigger)
        row = self.dispatcher.start_run(plan, trigger, idempotency_key=idempotency_key)
        log.info("run %s of %s started (%s)", row["id"], pipeline, trigger)
        return row

    def schema(self) -> Schema:
        """Return what schema the control database has.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        return self.database.schema()

    def require_schema(self) -> None:
        """See to it that this version can work with the schema; an older one is not touched.

        In a home whose servers are the embedded ones a missing schema is made: nothing is there.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
            SchemaMismatch: The message says what to do.
        """
        schema = self.schema()
        if schema.version is None and self.embedded:
            self.migrate()
        else:
            schema.require()

    def migrate(self) -> None:
        """Bring the control database's schema to this version, and say so.

        Of an embedded database that has a schema a dump is kept.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
            SchemaMismatch: The schema is of a later version.
            EmbeddedError: The dump could not be made; nothing was changed.
        """
        done = upgrade(self.database_url, first=self._keep_dump)
        if done is not None and done[0] is not None:
            log.warning("the schema was upgraded from version %s to %s", *done)

    @property
    def embedded(self) -> bool:
        """Return whether the control database is the embedded one."""
        return self.settings.database_url is None

    def _keep_dump(self, version: str) -> None:
        if self.embedded:
            kept = embedded.dump(self.settings.home, f"schema-{version}-before-{LATEST}")
            log.warning("before the schema upgrade, a dump of the database was stored in %s", kept)

    def afresh(self, role: str) -> "Headrace":
        """Return the same installation for a process forked from this one: nothing is shared."""
        fresh = Headrace(self.settings, self.database_url, self.redis_url, ExitStack(), role)
        if self._keys is not None:
            fresh.use_keys(self._keys)
        if "pipelines" in self.__dict__:
            # What has been read from files, which it looks at again by itself.
            fresh.pipelines = self.pipelines
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
    jobapi.use_dispatcher(LateDispatcher(lambda: headrace.dispatcher))
    return headrace


def local_dispatcher() -> "Dispatcher":
    """Return what dispatches in a program of the user's own, connected as its settings say."""
    return connect().dispatcher
