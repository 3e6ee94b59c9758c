"""Engines for jobs' sessions: one for the control database, one for each named connection."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from headrace.errors import ConfigError
from headrace.model import exact_json
from headrace.model.connection import PRODUCTS, NamedConnection
from headrace.store.attempts import AttemptStore
from headrace.store.connect import make_engine
from headrace.store.dsn import place_of
from headrace.store.job_connection import Guard, JobConnection
from headrace.store.made_databases import make_missing
from headrace.store.notices import Said, attach
from headrace.store.session_end_reason import note_parting_words
from headrace.store.session_savepoints import DRIVER
from headrace.store.session_settings import milliseconds, quoted_name, statement
from headrace.store.targets import keep_quiet, target_engine

CONTROL = None


class JobEngines:
    """The engines of one child's jobs, made when they are first used.

    The engine for the control database works on the connection of the bookkeeping, so that a
    job's work commits with its completion. `say` takes the server's notices, `on_mark` is called
    where a statement leaves something in a session.
    """

    def __init__(
        self,
        store: AttemptStore,
        connections: Mapping[str, NamedConnection],
        guard: Guard,
        worker: str,
        *,
        say: Said,
        on_mark: Callable[[], None],
    ) -> None:
        self._store = store
        self._connections = connections
        self._guard = guard
        self._worker = worker
        self._say = say
        self._on_mark = on_mark
        # The connection of the job at hand and the role that its step names, if it does.
        self.step_role: tuple[str | None, str] | None = None
        self._control: Engine | None = None
        # Whether SQLAlchemy has been on its connection.
        self._known = False
        # By name, and whether their connection is quiet.
        self._named: dict[tuple[str, bool], Engine] = {}
        # What `settings_of` has made while the store's connection is this one.
        self._settings: dict[tuple[str | None, float | None, bool, bool], str] = {}
        store.on_connect = self._wrap_control

    def of(self, name: str | None) -> Engine:
        """Return the engine of a connection.

        Raises:
            ConfigError: No connection has this name.
        """
        if name is CONTROL:
            self._store.raw  # noqa: B018 - opens the connection, which makes the engine
            assert self._control is not None
            if not self._known:
                # What SQLAlchemy asks and sets on a connection holds also where it is not used.
                self._control.connect().close()
                self._known = True
            return self._control
        if name not in self._connections:
            known = ", ".join(sorted(self._connections)) or "none"
            raise ConfigError(f'no connection is named "{name}"; config.yaml has: {known}')
        if (kind := self._connections[name].kind) != "postgresql":
            raise ConfigError(
                f'the connection "{name}" is {PRODUCTS[kind]}, and this job works in PostgreSQL'
                " only: docs/guide/databases.md lists what works in other databases"
            )
        return self._engine(name, kept=False)

    def kept(self, name: str | None) -> Engine:
        """Return the engine for attempts' transactions, whose connection is quiet.

        Raises as `of` does.
        """
        plain = self.of(name)
        return plain if name is CONTROL else self._engine(name, kept=True)

    def _engine(self, name: str, *, kept: bool) -> Engine:
        engine = self._named.get((name, kept))
        if engine is None:
            make_missing(self._connections[name])
            engine = target_engine(self._connections[name], self._worker)
            event.listen(engine, "connect", partial(self._guarded, name=name))
            event.listen(engine, "handle_error", partial(_note_connection, name=name))
            engine.update_execution_options(headrace_connection=name)
            if kept:
                event.listen(engine, "connect", keep_quiet)
            self._named[name, kept] = engine
        return engine

    def url_of(self, name: str | None) -> str:
        """Return the URL of a connection."""
        return self._store.url if name is CONTROL else self._connections[name].url

    def role_of(self, name: str | None) -> str | None:
        """Return the role that jobs work as on a connection, None for the one that logs in."""
        if self.step_role is not None and self.step_role[0] == name:
            return self.step_role[1]
        return None if name is CONTROL else self._connections[name].role

    def as_role(self, name: str | None, *, local: bool) -> str:
        """Return the command by which a session works as its connection's role."""
        role, scope = self.role_of(name), "LOCAL " if local else ""
        return f"SET {scope}ROLE {quoted_name(role)}; " if role else ""

    def settings_of(
        self,
        name: str | None,
        lock_timeout_s: float | None,
        *,
        local: bool,
        patient: bool = False,
        as_role: bool = True,
    ) -> str:
        """Return what a job's transaction has beyond the session's own settings."""
        role = self.as_role(name, local=local) if as_role else ""
        asked = (name, lock_timeout_s, local, patient)
        if asked not in self._settings:
            settings = self._store.raw.base.for_jobs() if name is CONTROL else {}
            if lock_timeout_s is not None:
                settings["lock_timeout"] = milliseconds(lock_timeout_s)
            elif patient and (name is CONTROL or self._connections[name].lock_timeout_s is None):
                settings["lock_timeout"] = "0"
            self._settings[asked] = statement(settings, local=local)
        return self._settings[asked] + role

    @contextmanager
    def apart(self, name: str | None) -> Iterator[Engine]:
        """Yield an engine that has connections beside the attempt's own."""
        if name is not CONTROL:
            yield self.of(name)
            return
        engine = target_engine(NamedConnection(self._store.url), self._worker)
        event.listen(engine, "connect", self._guarded)
        try:
            yield engine
        finally:
            engine.dispose()

    def beside(self, name: str) -> Iterator[Engine]:
        """Yield engines of the other ways to a connection's database, one after the other.

        Of their own: a job of this attempt may have its transaction open on one of them.
        """
        here = place_of(self._connections[name].url)
        named = [one.url for one in self._connections.values() if one.kind == "postgresql"]
        urls = [self._store.url, *named]
        for url in dict.fromkeys(urls):
            if url != self._connections[name].url and place_of(url) == here:
                engine = make_engine(url, application_name=f"headrace:{self._worker}:ledger")
                try:
                    yield engine
                finally:
                    engine.dispose()

    @contextmanager
    def renewed(self, wanted: bool) -> Iterator[None]:
        """Use connections to other databases within the block only, where `wanted`.

        What libpq reads from the environment (PGTZ, say) holds from a connection's start to its
        end, and the pooled ones have begun before.
        """
        if wanted:
            self.dispose()
        try:
            yield
        finally:
            if wanted:
                self.dispose()

    def dispose(self) -> None:
        """End the pooled sessions of the named connections."""
        for engine in self._named.values():
            engine.dispose()

    def _wrap_control(self, raw: Any) -> None:
        """Make an engine around the raw connection: SQLAlchemy then works in our transaction."""
        self._known = False
        self._settings.clear()
        self._control = create_engine(
            f"{DRIVER}://",
            creator=lambda: raw,
            poolclass=StaticPool,
            pool_reset_on_return=None,
            json_serializer=exact_json.dumps,
            json_deserializer=exact_json.loads,
            execution_options={"headrace_connection": CONTROL},
        )
        event.listen(self._control, "connect", self._name_schema)
        event.listen(self._control, "handle_error", note_parting_words)
        self._guarded(raw)

    def _name_schema(self, raw: JobConnection, _record: object) -> None:
        """Correct what SQLAlchemy has asked for outside a job: bookkeeping has another path."""
        assert self._control is not None
        self._control.dialect.default_schema_name = raw.base.schema

    def _guarded(
        self, raw: JobConnection, _record: object = None, *, name: str | None = CONTROL
    ) -> None:
        attach(raw, self._say)
        raw.guard = self._guard
        raw.connection_name = name
        raw.on_mark = self._on_mark


def _note_connection(context: Any, *, name: str) -> None:
    """Have an error say which connection could not be opened: the server names none."""
    if context.connection is None and context.sqlalchemy_exception is not None:
        context.sqlalchemy_exception.add_note(
            f"the connection {name} of config.yaml could not be opened"
        )
