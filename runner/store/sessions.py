"""What a job gets to work with: sessions whose work commits with the job's completion."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from runner.errors import ConfigError, JobFailure
from runner.store.attempts import AttemptStore
from runner.store.forked import keep_from_forks
from runner.store.notices import Said, attach, hear, open_waits
from runner.store.targets import make_ledger, target_engine

CONTROL = None

Guard = Callable[[str], bool]
"""Refuses a statement that would escape the transaction; True where it marks the session."""


class EffectApplied(BaseException):
    """The target's ledger says that an earlier attempt's effect is committed there.

    No Exception: a job that catches those must not hide it.
    """


class JobSessions:
    """The sessions of one child's jobs, on the control database and on named connections.

    All of an attempt's work on one database is one transaction, however many sessions it
    opens. A session's own `commit()` releases a savepoint; nothing is committed before
    `commit_targets` and the completion.
    """

    def __init__(
        self, store: AttemptStore, connections: Mapping[str, str], guard: Guard, worker: str
    ) -> None:
        self._store = store
        self._urls = connections
        self._guard = guard
        self._worker = worker
        self._control_engine: Engine | None = None
        self._engines: dict[str, Engine] = {}
        self._with_ledger: set[str] = set()
        self._open: dict[str | None, Connection] = {}
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
        bind = self._transaction(connection, read_only=read_only)
        session = Session(bind=bind, join_transaction_mode="create_savepoint")
        try:
            yield session
            session.commit()
        finally:
            session.close()

    @contextmanager
    def autocommit(self, connection: str | None = CONTROL) -> Iterator[Connection]:
        """Open a connection on which each statement commits by itself, for VACUUM and its like.

        Raises:
            JobFailure: The attempt has a transaction open there already.
        """
        if connection in self._open:
            raise JobFailure(
                "a statement outside transactions cannot run while the job's transaction is"
                " open; give the job a step of its own"
            )
        self._use()
        with self._engine(connection).connect() as opened:
            yield opened.execution_options(isolation_level="AUTOCOMMIT")
        if connection is CONTROL:
            self._store.raw.autocommit = True

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

    def handled(self) -> None:
        """Note that the job's own code has ended."""
        open_waits(False)

    @property
    def control_open(self) -> bool:
        """Whether the attempt has a transaction on the control database."""
        return CONTROL in self._open

    def commit_targets(self) -> None:
        """Commit the other databases, each with its ledger row.

        Raises:
            EffectApplied: Another attempt has committed there first.
        """
        assert self._job is not None
        for name, opened in list(self._open.items()):
            if name is CONTROL:
                continue
            if not opened.info.pop("read_only", False):
                self._sign(opened)
            opened.commit()
            opened.close()
            del self._open[name]

    def commit_control(self) -> None:
        """Commit the control database: effect and completion together."""
        opened = self._open.pop(CONTROL)
        opened.commit()
        opened.close()
        self._store.raw.autocommit = True

    def roll_back(self) -> None:
        """Undo all that is open, also where a connection is gone."""
        for name, opened in list(self._open.items()):
            del self._open[name]
            try:
                opened.rollback()
                opened.close()
            except Exception:  # noqa: BLE001 - whatever it is, the connection is done for
                opened.invalidate()
                if name is CONTROL:
                    self._store.drop()
        if not self._store.lost:
            self._store.raw.autocommit = True

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

    def _transaction(self, name: str | None, *, read_only: bool) -> Connection:
        if name in self._open:
            return self._open[name]
        self._use()
        if name is CONTROL:
            raw = self._store.raw
            raw.autocommit = False
        elif not read_only and name not in self._with_ledger:
            make_ledger(self._engine(name))
            self._with_ledger.add(name)
        opened = self._engine(name).connect()
        if name is not CONTROL:
            # The driver begins the transaction as READ ONLY: a statement of ours that sets it would
            # be refused by the guard, which watches over every statement of this engine.
            opened = opened.execution_options(postgresql_readonly=read_only)
        opened.begin()
        self._open[name] = opened
        if name is not CONTROL:
            opened.info["read_only"] = read_only
            if not read_only:
                self._check_ledger(opened)
        return opened

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
        if name not in self._urls:
            known = ", ".join(sorted(self._urls)) or "none"
            raise ConfigError(f'no connection is named "{name}"; config.yaml has: {known}')
        if name not in self._engines:
            engine = target_engine(self._urls[name], self._worker)
            self._watch(engine)
            event.listen(engine, "connect", self._listen)
            self._engines[name] = engine
        return self._engines[name]

    def _wrap_control(self, raw: Any) -> None:
        """Make an engine around the raw line, so that SQLAlchemy works in our transaction."""
        self._listen(raw, None)
        self._control_engine = create_engine(
            "postgresql+psycopg2://",
            creator=lambda: raw,
            poolclass=StaticPool,
            pool_reset_on_return=None,
        )
        self._watch(self._control_engine)

    def _listen(self, raw: Any, _record: Any) -> None:
        keep_from_forks(raw)
        # Looked up each time: who listens is told after the first connection.
        attach(raw, lambda text, level: self.say(text, level))  # noqa: PLW0108
        hear(raw)

    def _watch(self, engine: Engine) -> None:
        @event.listens_for(engine, "before_cursor_execute")
        def _check(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if self._guard(statement):
                self.dirty = True

    def _check_ledger(self, opened: Connection) -> None:
        assert self._job is not None
        done = opened.execute(
            text("SELECT 1 FROM headrace.ledger WHERE job_id = :id"), {"id": self._job[0]}
        ).scalar()
        if done:
            raise EffectApplied

    def _sign(self, opened: Connection) -> None:
        assert self._job is not None
        try:
            opened.execute(
                text("INSERT INTO headrace.ledger (job_id, attempt) VALUES (:id, :attempt)"),
                {"id": self._job[0], "attempt": self._job[1]},
            )
        except IntegrityError:
            # A paused attempt that was given up has woken and come first. The job is still
            # ours to complete: its effect is there, once.
            raise EffectApplied from None
