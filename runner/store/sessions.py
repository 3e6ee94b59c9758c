"""Sessions for jobs: their work commits with the job's completion."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from headrace.errors import JobFailure
from headrace.model.connection import NamedConnection
from headrace.store.attempt_transaction import EffectApplied, Held, hold, reading
from headrace.store.attempts import AttemptStore
from headrace.store.begun_ahead import Ahead
from headrace.store.direct_statements import DirectStatements, StatementBlock
from headrace.store.error_reasons import Reasons
from headrace.store.follower import Follower
from headrace.store.job_connection import Guard
from headrace.store.job_engines import CONTROL, JobEngines
from headrace.store.late_connection import LateConnection, Line, put_back
from headrace.store.ledger import GONE, Ledgers
from headrace.store.lost_transactions import LostTransactions
from headrace.store.notices import Said, open_waits
from headrace.store.others.sessions import OtherSessions
from headrace.store.own_transactions import OwnTransactions
from headrace.store.read_only_transactions import ReadOnlyTransactions
from headrace.store.session_block import SessionBlock
from headrace.store.session_state import bring_in_order, execute, is_timeless
from headrace.store.sharing import AppendBlock, Sharing


class JobSessions(OtherSessions):
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
        super().__init__(connections, guard)
        say, on_mark = self._say_on, partial(setattr, self, "dirty", True)
        made = JobEngines(store, connections, guard, worker, say=say, on_mark=on_mark)
        self._engines, self.renewed, self._ledgers = made, made.renewed, Ledgers(made.beside)
        self._reasons = Reasons(made.url_of, self._ledgers.reasons, made.role_of)
        self.lock_timeout_s: float | None = None  # None leaves the connection's.
        self._held: dict[str | None, Held] = {}
        self._ahead: Ahead | None = None
        local = partial(self._job_settings, local=True)
        self._read_only = ReadOnlyTransactions(self._engines.of, local)
        own = OwnTransactions(store, self._engines, self._ledgers, local, self._use)
        self.aside, self.batch, self.snapshot = own.aside, own.batch, own.snapshot
        self._lost = LostTransactions(store, self._engines)
        self._job: tuple[UUID, int] | None = None
        self.sharing: Sharing | None = None  # Where jobs share the transaction; see there.
        # How long after its beginning the attempt has opened the usual transaction, None for none.
        self.opened_after_s: float | None = None
        self._began = 0.0
        self.dirty = self.used = self._in_order = False
        self.before_use: Callable[[], None] = lambda: None
        self.say: Said = lambda _text, _level: None  # Takes what the servers say.

    def session(
        self, connection: str | None = CONTROL, *, read_only: bool = False
    ) -> AbstractContextManager[Session]:
        """Return a block with a session in the attempt's transaction on `connection`.

        Raises:
            EffectApplied: An earlier attempt has committed its effect there.
        """
        return SessionBlock(partial(self._bound, connection, read_only=read_only))

    def statements(
        self, connection: str | None = CONTROL
    ) -> AbstractContextManager[DirectStatements | AppendBlock]:
        """Return a block whose statements go to the driver at once; raises as `session`."""
        block = self.sharing.block if self.sharing else StatementBlock
        return block(partial(self._bound, connection))

    @contextmanager
    def autocommit(
        self, connection: str | None = CONTROL, *, patient: bool = False
    ) -> Iterator[Connection]:
        """Open a connection on which each statement commits by itself; see `jobapi.Attempt`.

        Raises:
            JobFailure: The attempt has a transaction open there already.
        """
        if connection in self._held:
            raise JobFailure(
                "a statement outside transactions cannot run while the job's transaction is"
                " open; give the job a step of its own"
            )
        self._use()
        if connection is CONTROL:
            self._in_order = False
            put_back(self._store.raw)
        with self._engines.of(connection).connect() as opened:
            alone = opened.execution_options(isolation_level="AUTOCOMMIT")
            patient = patient and is_timeless(opened)
            execute(alone, self._job_settings(connection, local=False, patient=patient))
            try:
                yield alone
            finally:
                if connection is CONTROL:
                    bring_in_order(alone)

    def begin(self, job_id: UUID, attempt: int) -> None:
        """Start an attempt. Nothing is opened before the job asks for it."""
        self._job = (job_id, attempt)
        self.used, self.dirty, self._in_order = False, False, True
        self.opened_after_s, self._began = None, time.monotonic()
        self.lock_timeout_s = self._engines.step_role = None
        self._lost.forget()
        self._others.ended = None

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
        for held in self._held.values():
            held.raw.refuse_disorder()
        if self.used and CONTROL not in self._held and not self._store.lost:
            self._store.raw.refuse_disorder()

    def commit_targets(self, *attempts: tuple[UUID, int]) -> None:
        """Commit the other databases, each with the ledger's row of the attempt, or of several.

        Raises:
            EffectApplied: Another attempt has committed there first.
            TransactionEnded: The job has ended its transaction there.
        """
        assert self._job is not None
        for name, held in list(self._held.items()):
            if name is CONTROL:
                continue
            held.sign_and_commit(*(attempts or (self._job,)))
            del self._held[name]
        self._others.commit(*self._job)
        if CONTROL in self._held:
            self._store.prepend(self._held[CONTROL].in_order())

    def commit_control(
        self, completing: str = "", *, ahead: bool = False, follower: Follower | None = None
    ) -> bool:
        """Commit the control database: effect and completion together.

        In the same message the session is put in order, unless it is ended; with `ahead` the next
        attempt's transaction begins. `completing` records the end of the attempt before. Where that
        fails, False is returned: the transaction is open, as if nothing had been tried.
        """
        held, then = self._held[CONTROL], "" if self.dirty else self._store.reset_commands
        self._ahead = None
        if ahead and not self.dirty:
            # As most jobs need it.
            settings = self._engines.settings_of(CONTROL, None, local=True, as_role=False)
            self._ahead = Ahead(settings, follower=follower)
        if completing:
            self._store.prepend("")  # It comes first in this message.
            if not held.complete(completing, then, self._ahead):
                self._ahead = None
                self._store.prepend(held.in_order())
                return False
        else:
            held.commit(then, self._ahead)
        del self._held[CONTROL]
        self._in_order = not self.dirty
        return True

    def roll_back(self) -> None:
        """Undo all that is open, also where a connection is gone."""
        self._store.prepend("")  # It was for the transaction's end.
        for name, held in list(self._held.items()):
            del self._held[name]
            ended = held.ended_inside()
            if ended is not False:
                self._lost.add(name, held, ended_inside=bool(ended))
            try:
                held.roll_back()
            except Exception:  # noqa: BLE001 - whatever it is, the connection is done for
                with suppress(Exception):
                    held.line.invalidate()
                if name is CONTROL:
                    self._store.drop()
        self._read_only.end_all()
        self._others.roll_back()
        if not self._store.lost:
            try:
                self._store.raw.refuse_disorder()
            except Exception:  # noqa: BLE001 - a new connection is in order
                self._store.drop()

    def explain(self, error: BaseException) -> None:
        """Add to an error of a job what is known about it beyond PostgreSQL's own words."""
        self._reasons.add_to(error)

    def verdict(self) -> str | None:
        """Return, after `roll_back`, how a transaction was ended from inside; None where none was.

        Raises:
            StoreUnavailable: The control database does not answer.
        """
        assert self._job is not None
        return self._lost.verdict(self._job[0]) or self._others.ended

    def clean(self) -> None:
        """Leave nothing of the job in the sessions that the next one gets."""
        if not self.used:
            return
        if self.dirty:
            self._store.drop()
            self._engines.dispose()
        elif not (self._store.lost or self._in_order):
            self._store.reset()

    def _bound(self, name: str | None, *, read_only: bool = False) -> AbstractContextManager[Line]:
        """Return what a session works on; where a job may not write, what only reads."""
        self._use(ahead=name is CONTROL)
        if (
            name is not CONTROL
            and name not in self._held
            and (read_only or self._ledgers.why_none(name, self._engines.of(name)))
        ):
            return self._read_only.of(name)
        held = self._transaction(name)
        return reading(held) if read_only else nullcontext(held.line)

    def _transaction(self, name: str | None) -> Held:
        if name in self._held:
            return self._held[name]
        try:
            held = self._begun(name)
        except GONE:
            # The target was restored, or emptied, since its ledger was last there.
            if name is CONTROL:
                raise
            if why := self._ledgers.why_none(name, self._engines.of(name), anew=True):
                raise JobFailure(f"in the connection {name}: {why}") from None
            held = self._begun(name)
        self._held[name] = held
        if held.applied:
            raise EffectApplied
        return held

    def _begun(self, name: str | None) -> Held:
        assert self._job is not None
        engine = self._engines.kept(name)
        opened = LateConnection(engine, self._store.raw) if name is CONTROL else engine.connect()
        settings = self._job_settings(name, local=True, as_role=False)
        role = self._engines.role_of(name)
        try:
            if name is not CONTROL:
                return hold(opened, settings, ledger_of=self._job[0], role=role)
            self._in_order = False
            if role is None and self.lock_timeout_s is None:
                self.opened_after_s = time.monotonic() - self._began
            ahead, self._ahead = self._ahead, None
            serves = ahead and ahead.serves(self._store, settings, role)
            return hold(opened, settings, role=role, ahead=ahead if serves else None)
        except BaseException:
            opened.invalidate()
            raise

    def _job_settings(self, name: str | None, **how: bool) -> str:
        return self._engines.settings_of(name, self.lock_timeout_s, **how)

    def _use(self, *, ahead: bool = False) -> tuple[UUID, int]:
        """Note that the job works on a database, before it does; return its id and attempt.

        What was begun ahead does not stand open meanwhile, unless it is for that: `ahead`.
        """
        assert self._job is not None, "an attempt has begun"
        if not self.used:
            self.before_use()
        self.used = True
        if not ahead:
            self._store.end_ahead()
        open_waits(True)
        return self._job

    def _say_on(self, text: str, level: int) -> None:
        self.say(text, level)  # Looked up each time: who listens is set after the connection.
