"""Sessions for jobs: their work commits with the job's completion."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import psycopg2
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from headrace.errors import ConfigError, JobFailure, StoreUnavailable
from headrace.model import exact_json
from headrace.model.connection import NamedConnection
from headrace.store.attempt_transaction import Held, fate, hold, reading
from headrace.store.attempts import AttemptStore
from headrace.store.committed_parts import Part
from headrace.store.connect import make_engine
from headrace.store.dsn import place_of
from headrace.store.error_reasons import Reasons
from headrace.store.forked import keep_from_forks
from headrace.store.job_connection import Guard, JobConnection
from headrace.store.ledger import GONE, Ledgers
from headrace.store.notices import Said, attach, open_waits
from headrace.store.session_end_reason import note_parting_words
from headrace.store.session_settings import milliseconds, quoted_name, statement
from headrace.store.session_state import IN_ORDER, send
from headrace.store.targets import target_engine

log = logging.getLogger("headrace.worker")

CONTROL = None

_ENDED = {
    "committed": "its SQL ended the transaction; its earlier changes are committed",
    "prepared": "its SQL prepared the transaction; what it did waits there for COMMIT PREPARED"
    " or ROLLBACK PREPARED",
    "aborted": "its SQL ended the transaction; what it did before is undone, what it did after"
    " may stand",
}


class EffectApplied(BaseException):
    """The target's ledger says that an earlier attempt's effect is committed there.

    No Exception: a job that catches those must not hide it.
    """


@dataclass(slots=True)
class _Reader:
    """A transaction that only reads, and how many sessions are at it."""

    opened: Connection
    sessions: int = 0


class JobSessions:
    """The sessions of one child's jobs, on the control database and on named connections.

    All of an attempt's work on one database is one transaction, however many sessions it
    opens. A session's own `commit()` releases a savepoint; nothing is committed before
    `commit_targets` and the completion.
    """

    def __init__(
        self,
        store: AttemptStore,
        connections: Mapping[str, NamedConnection],
        guard: Guard,
        worker: str,
    ) -> None:
        self._store = store
        self._connections = connections
        self._guard = guard
        self._worker = worker
        self._control_engine: Engine | None = None
        self._engines: dict[str, Engine] = {}
        self._ledgers = Ledgers(self._beside)
        self._reasons = Reasons(self._url, self._ledgers.reasons)
        # Of a job that sets its own; None leaves the connection's.
        self.lock_timeout_s: float | None = None
        self._held: dict[str | None, Held] = {}
        self._readers: dict[str, _Reader] = {}
        # Transactions that the attempt has lost sight of: by a cut connection, or (True) because
        # they were ended from inside.
        self._gone: list[tuple[str | None, str, bool]] = []
        self._job: tuple[UUID, int] | None = None
        self.dirty = False
        self.used = False
        self.before_use: Callable[[], None] = lambda: None
        # Takes what the servers say beside their answers, and how serious it is.
        self.say: Said = lambda _text, _level: None
        store.on_connect = self._wrap_control

    # -- for the job ------------------------------------------------------------------

    @contextmanager
    def session(
        self, connection: str | None = CONTROL, *, read_only: bool = False
    ) -> Iterator[Session]:
        """Open a session in the attempt's transaction on `connection`.

        Raises:
            ConfigError: No connection has this name.
            EffectApplied: An earlier attempt has committed its effect there.
        """
        with self._bound(connection, read_only=read_only) as bind:
            session = Session(bind=bind, join_transaction_mode="create_savepoint")
            try:
                yield session
                session.commit()
            finally:
                session.close()

    @contextmanager
    def autocommit(
        self, connection: str | None = CONTROL, *, patient: bool = False
    ) -> Iterator[Connection]:
        """Open a connection on which each statement commits by itself, for VACUUM and its like.

        `patient`: see `jobapi.Attempt`.

        Raises:
            JobFailure: The attempt has a transaction open there already.
        """
        if connection in self._held:
            raise JobFailure(
                "a statement outside transactions cannot run while the job's transaction is"
                " open; give the job a step of its own"
            )
        self._use()
        with self._engine(connection).connect() as opened:
            alone = opened.execution_options(isolation_level="AUTOCOMMIT")
            settings = self._job_settings(connection, local=False, patient=patient)
            send(alone, settings + self._as_role(connection))
            try:
                yield alone
            finally:
                if connection is CONTROL:
                    with suppress(psycopg2.Error):
                        send(alone, IN_ORDER)
        if connection is CONTROL:
            self._store.raw.autocommit = True

    @contextmanager
    def aside(self, connection: str | None = CONTROL) -> Iterator[Session]:
        """Open a session in a transaction of its own, committed at the end of the block.

        It is for what has to outlive a job that fails, and sees nothing of the attempt's own
        transaction; it waits for no lock of that one either, but for its `lock_timeout`.
        """
        self._use()
        with self._beside_attempt(connection) as engine, engine.begin() as opened:
            settings = self._job_settings(connection, local=True)
            send(opened, settings + self._as_role(connection, "LOCAL "))
            with Session(bind=opened, join_transaction_mode="create_savepoint") as session:
                yield session
                session.commit()

    @contextmanager
    def batch(self, label: str, connection: str | None = CONTROL) -> Iterator[Session | None]:
        """Open a transaction of its own for a part of the attempt's work; see `jobapi.Attempt`.

        Raises:
            StaleAttempt: The attempt is over; the part is not committed.
        """
        assert self._job is not None
        self._use()
        with self._beside_attempt(connection) as engine:
            if connection is not CONTROL and (why := self._ledgers.why_none(connection, engine)):
                raise JobFailure(why)
            part = Part(*self._job, label)
            settings = self._job_settings(connection, local=True)
            role = None if connection is CONTROL else self._connections[connection].role
            store = None if connection is CONTROL else self._store
            with part.open(engine.connect(), settings, role, store) as session:
                yield session

    # -- for the executor -------------------------------------------------------------

    @contextmanager
    def renewed(self, wanted: bool) -> Iterator[None]:
        """Where `wanted`, use connections to other databases within the block only.

        What libpq reads from the environment (PGTZ, say) holds from a connection's start to its
        end, and the pooled ones have begun before.
        """
        if wanted:
            self._dispose()
        try:
            yield
        finally:
            if wanted:
                self._dispose()

    def _dispose(self) -> None:
        for engine in self._engines.values():
            engine.dispose()

    def begin(self, job_id: UUID, attempt: int) -> None:
        """Start an attempt. Nothing is opened before the job asks for it."""
        self._job, self.used, self.dirty = (job_id, attempt), False, False
        self.lock_timeout_s = None
        self._gone.clear()

    def handled(self) -> None:
        """Note that the job's own code has ended."""
        open_waits(False)

    @property
    def number(self) -> str | None:
        """The number of the attempt's transaction on the control database, if it has one."""
        held = self._held.get(CONTROL)
        return held.number if held else None

    def refuse_disorder(self) -> None:
        """Refuse to complete over a connection whose quotes the job has changed the meaning of."""
        for raw in (held.raw for held in self._held.values()):
            raw.refuse_disorder()
        if self.used and not self._store.lost:
            self._store.raw.refuse_disorder()

    def commit_targets(self) -> None:
        """Commit the other databases, each with its ledger row.

        Raises:
            EffectApplied: Another attempt has committed there first.
            TransactionEnded: The job has ended its transaction there.
        """
        assert self._job is not None
        for name, held in list(self._held.items()):
            if name is CONTROL:
                continue
            try:
                held.sign(*self._job)
            except psycopg2.IntegrityError:
                # A paused attempt that was given up has woken and come first. The job is still
                # ours to complete: its effect is there, once.
                raise EffectApplied from None
            held.commit()
            del self._held[name]
        if CONTROL in self._held:
            self._store.send_ahead(IN_ORDER)

    def commit_control(self) -> None:
        """Commit the control database: effect and completion together."""
        self._held[CONTROL].commit()
        del self._held[CONTROL]
        self._store.raw.autocommit = True

    def roll_back(self) -> None:
        """Undo all that is open, also where a connection is gone."""
        for name, held in list(self._held.items()):
            del self._held[name]
            ended = held.ended_inside()
            if ended is not False:
                self._gone.append((name, held.number, bool(ended)))
            try:
                held.roll_back()
            except Exception:  # noqa: BLE001 - whatever it is, the connection is done for
                with suppress(Exception):
                    held.opened.invalidate()
                if name is CONTROL:
                    self._store.drop()
        for name in list(self._readers):
            self._end_reader(name)
        if not self._store.lost:
            try:
                self._store.raw.autocommit = True
                self._store.raw.refuse_disorder()
            except Exception:  # noqa: BLE001 - a new line is in order
                self._store.drop()

    def explain(self, error: BaseException) -> None:
        """Add to an error of a job what is known about it beyond PostgreSQL's own words."""
        self._reasons.add_to(error)

    def verdict(self) -> str | None:
        """Tell, after `roll_back`, how a transaction was ended from inside; None where none was.

        Raises:
            StoreUnavailable: The control database does not answer.
        """
        for name, number, ended in self._gone:
            became = self._fate(name, number)
            if ended or became in ("committed", "prepared"):
                return _ENDED.get(became, _ENDED["aborted"])
        return None

    def clean(self) -> None:
        """Leave nothing of the job in the sessions that the next one gets."""
        if not self.used:
            return
        if self.dirty:
            self._store.drop()
            self._dispose()
        elif not self._store.lost:
            self._store.reset()

    # -- inside -----------------------------------------------------------------------

    @contextmanager
    def _bound(self, name: str | None, *, read_only: bool) -> Iterator[Connection]:
        """Give the connection for a session; where a job may not write, one that only reads."""
        self._use()
        if (
            name is not CONTROL
            and name not in self._held
            and (read_only or self._ledgers.why_none(name, self._engine(name)))
        ):
            with self._reader(name) as opened:
                yield opened
            return
        held = self._transaction(name)
        if not read_only:
            yield held.opened
            return
        with reading(held):
            yield held.opened

    def _transaction(self, name: str | None) -> Held:
        if name in self._held:
            return self._held[name]
        try:
            held = self._begun(name)
        except GONE:
            # The target was restored, or emptied, since its ledger was last there.
            if name is CONTROL or self._ledgers.why_none(name, self._engine(name), anew=True):
                raise
            held = self._begun(name)
        self._held[name] = held
        if held.applied:
            raise EffectApplied
        return held

    def _begun(self, name: str | None) -> Held:
        assert self._job is not None
        if name is CONTROL:
            self._store.raw.autocommit = False
        opened = self._engine(name).connect()
        settings = self._job_settings(name, local=True)
        try:
            if name is CONTROL:
                return hold(opened, settings)
            role = self._connections[name].role
            return hold(opened, settings, ledger_of=self._job[0], role=role)
        except BaseException:
            opened.invalidate()
            raise

    def _job_settings(self, name: str | None, *, local: bool, patient: bool = False) -> str:
        """Return what a job's transaction has beyond the session's own settings."""
        settings = self._store.raw.base.for_jobs() if name is CONTROL else {}
        if self.lock_timeout_s is not None:
            settings["lock_timeout"] = milliseconds(self.lock_timeout_s)
        elif patient and (name is CONTROL or self._connections[name].lock_timeout_s is None):
            settings["lock_timeout"] = "0"
        return statement(settings, local=local)

    def _as_role(self, name: str | None, scope: str = "") -> str:
        """Return the command by which a connection's session works as its role."""
        role = None if name is CONTROL else self._connections[name].role
        return f"SET {scope}ROLE {quoted_name(role)}; " if role else ""

    @contextmanager
    def _reader(self, name: str) -> Iterator[Connection]:
        """Give a connection whose transaction only reads and ends with its last session.

        It leaves nothing behind, so it needs no mark, and a standby can give it.
        """
        if name not in self._readers:
            # The driver begins the transaction as READ ONLY; no SQL in it can change that, as it
            # begins with a savepoint of SQLAlchemy's.
            opened = self._engine(name).connect().execution_options(postgresql_readonly=True)
            opened.begin()
            send(opened, self._job_settings(name, local=True) + self._as_role(name, "LOCAL "))
            self._readers[name] = _Reader(opened)
        reader = self._readers[name]
        reader.sessions += 1
        try:
            yield reader.opened
        finally:
            reader.sessions -= 1
            if reader.sessions == 0:
                self._end_reader(name)

    def _end_reader(self, name: str) -> None:
        reader = self._readers.pop(name, None)
        if reader is None:
            return
        try:
            reader.opened.rollback()
            reader.opened.close()
        except Exception:  # noqa: BLE001 - whatever it is, the connection is done for
            with suppress(Exception):
                reader.opened.invalidate()

    def _fate(self, name: str | None, number: str) -> str:
        assert self._job is not None
        if name is CONTROL:
            return fate(self._store.raw, number)
        try:
            with self._engine(name).connect() as opened:
                raw: Any = opened.connection.dbapi_connection
                return fate(raw, number, ledger_of=self._job[0])
        except (StoreUnavailable, DBAPIError) as error:
            log.warning("what became of transaction %s on %s is not known: %s", number, name, error)
            return "unknown"

    def _url(self, name: str | None) -> str:
        return self._store.url if name is CONTROL else self._connections[name].url

    def _use(self) -> None:
        """Note that the job works on a database. Before it does, the line is put in order."""
        if not self.used:
            self.before_use()
        self.used = True
        open_waits(True)

    def _engine(self, name: str | None) -> Engine:
        if name is CONTROL:
            self._store.raw  # noqa: B018 - opens the line, which makes the engine
            assert self._control_engine is not None
            return self._control_engine
        if name not in self._connections:
            known = ", ".join(sorted(self._connections)) or "none"
            raise ConfigError(f'no connection is named "{name}"; config.yaml has: {known}')
        if name not in self._engines:
            engine = target_engine(self._connections[name], self._worker)
            event.listen(engine, "connect", partial(self._guarded, name=name))
            self._engines[name] = engine
        return self._engines[name]

    @contextmanager
    def _beside_attempt(self, name: str | None) -> Iterator[Engine]:
        """Give an engine that has connections beside the attempt's own."""
        if name is not CONTROL:
            yield self._engine(name)
            return
        engine = target_engine(NamedConnection(self._store.url), self._worker)
        event.listen(engine, "connect", self._guarded)
        try:
            yield engine
        finally:
            engine.dispose()

    def _beside(self, name: str) -> Iterator[Engine]:
        """Give engines of the other ways to a connection's database, one after the other.

        Of their own: a job of this attempt may have its transaction open on one of them.
        """
        here = place_of(self._connections[name].url)
        urls = [self._store.url, *(one.url for one in self._connections.values())]
        for url in dict.fromkeys(urls):
            if url != self._connections[name].url and place_of(url) == here:
                engine = make_engine(url, application_name=f"headrace:{self._worker}:ledger")
                try:
                    yield engine
                finally:
                    engine.dispose()

    def _wrap_control(self, raw: Any) -> None:
        """Make an engine around the raw line, so that SQLAlchemy works in our transaction."""
        self._control_engine = create_engine(
            "postgresql+psycopg2://",
            creator=lambda: raw,
            poolclass=StaticPool,
            pool_reset_on_return=None,
            json_serializer=exact_json.dumps,
            json_deserializer=exact_json.loads,
        )
        event.listen(self._control_engine, "connect", self._name_schema)
        event.listen(self._control_engine, "handle_error", note_parting_words)
        self._guarded(raw)

    def _name_schema(self, raw: JobConnection, _record: object) -> None:
        """Correct what SQLAlchemy has asked for outside a job: bookkeeping has another path."""
        assert self._control_engine is not None
        self._control_engine.dialect.default_schema_name = raw.base.schema

    def _guarded(
        self, raw: JobConnection, _record: object = None, *, name: str | None = CONTROL
    ) -> None:
        keep_from_forks(raw)
        # Looked up each time: who listens is told after the first connection.
        attach(raw, lambda text, level: self.say(text, level))  # noqa: PLW0108
        raw.guard = self._guard
        raw.connection_name = name
        raw.on_mark = self._mark

    def _mark(self) -> None:
        self.dirty = True
