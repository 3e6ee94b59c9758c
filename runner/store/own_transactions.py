"""Transactions of a job that are committed by themselves, whatever becomes of the job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy.orm import Session

from headrace.errors import JobFailure
from headrace.store.attempts import AttemptStore
from headrace.store.committed_parts import Part
from headrace.store.job_engines import CONTROL, JobEngines
from headrace.store.ledger import Ledgers
from headrace.store.session_state import execute


class OwnTransactions:
    """Opens them, on connections beside the attempt's own.

    `settings_of` gives the commands that come first in one, with the role if asked; `at_work` notes
    that the job works on a database, and returns its id and attempt.
    """

    def __init__(
        self,
        store: AttemptStore,
        engines: JobEngines,
        ledgers: Ledgers,
        settings_of: Callable[..., str],
        at_work: Callable[[], tuple[UUID, int]],
    ) -> None:
        self._store = store
        self._engines = engines
        self._ledgers = ledgers
        self._settings_of = settings_of
        self._at_work = at_work

    @contextmanager
    def aside(self, connection: str | None = CONTROL) -> Iterator[Session]:
        """Yield a session that sees nothing of the attempt's own transaction."""
        self._at_work()
        with self._engines.apart(connection) as engine, engine.begin() as opened:
            execute(opened, self._settings_of(connection))
            with Session(bind=opened, join_transaction_mode="create_savepoint") as session:
                yield session
                session.commit()

    @contextmanager
    def snapshot(
        self, connection: str | None = CONTROL, exported: str | None = None
    ) -> Iterator[Session]:
        """Yield a session that only reads, all of it in one snapshot: `exported`, or its own.

        Without a savepoint around it: in one no snapshot can be exported.
        """
        self._at_work()
        with self._engines.apart(connection) as engine, engine.connect() as plain:
            opened = plain.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            with opened.begin():
                # Before all else: it has to be the first that the transaction does.
                execute(opened, f"SET TRANSACTION SNAPSHOT '{exported}'" if exported else "")
                execute(opened, self._settings_of(connection))
                with Session(bind=opened, join_transaction_mode="rollback_only") as session:
                    yield session

    @contextmanager
    def batch(self, label: str, connection: str | None = CONTROL) -> Iterator[Session | None]:
        """Yield a session for a part of the attempt's work, None where it is committed already.

        Raises:
            StaleAttempt: The attempt is over; the part is not committed.
        """
        part = Part(*self._at_work(), label)
        with self._engines.apart(connection) as engine:
            if connection is not CONTROL and (why := self._ledgers.why_none(connection, engine)):
                raise JobFailure(why)
            control = None if connection is CONTROL else self._store
            role = self._engines.role_of(connection)
            settings = self._settings_of(connection, as_role=False)
            with part.open(engine.connect(), settings, role, control) as session:
                yield session
