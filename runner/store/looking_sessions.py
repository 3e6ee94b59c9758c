"""Sessions for forecasts: what they see is a job's, what they do is always rolled back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, NoReturn

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from headrace.errors import ConfigError, JobFailure
from headrace.model.connection import PRODUCTS, Kind, NamedConnection, placed
from headrace.store.attempt_transaction import Held, hold, reading
from headrace.store.job_connection import Guard
from headrace.store.read_only_transactions import ReadOnlyTransactions
from headrace.store.session_settings import quoted_name
from headrace.store.targets import target_engine

# A look must not hold up the writers that wait behind it.
_LOCK_TIMEOUT_MS = 1000


class LookingSessions:
    """The sessions of forecasts, on the control database and on named connections.

    A `read_only` session is in a READ ONLY transaction. Any other can make temporary tables, for
    rows that have to be compared; its transaction is never committed, and a `read_only` session
    that is opened within it writes nothing but these. `control_url` raises ConfigError where the
    control database is not up.
    """

    def __init__(
        self,
        connections: Mapping[str, NamedConnection],
        control_url: Callable[[], str],
        guard: Guard,
        timeout_s: float,
    ) -> None:
        self._connections = connections
        self._control_url = control_url
        self._guard = guard
        self._timeout_s = timeout_s
        # The connection of the job that is looked at and the role that its step names.
        self.step_role: tuple[str | None, str] | None = None
        self._engines: dict[str | None, Engine] = {}
        self._held: dict[str | None, Held] = {}
        self._read_only = ReadOnlyTransactions(self._engine, self._settings)

    @contextmanager
    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> Iterator[Session]:
        """Open a session whose work is rolled back.

        Raises:
            ConfigError: No connection has this name, or the control database is not up.
        """
        if read_only and connection not in self._held:
            with self._read_only.of(connection) as opened, _joined(opened) as session:
                yield session
            return
        held = self._transaction(connection)
        with (
            reading(held) if read_only else nullcontext(),
            _joined(held.opened) as session,
        ):
            yield session

    def statements(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse: a forecast runs no SQL of a user's but queries, in sessions."""
        raise JobFailure("a forecast runs no statements")

    def autocommit(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse: nothing is committed."""
        raise JobFailure("a forecast commits nothing")

    def aside(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse: nothing is committed."""
        raise JobFailure("a forecast commits nothing")

    def batch(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse: nothing is committed."""
        raise JobFailure("a forecast commits nothing")

    def snapshot(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse: what a forecast counts need not be of one moment."""
        raise JobFailure("a forecast exports no snapshot")

    def kind_of(self, connection: str | None) -> Kind:
        """Return the kind of a connection's database."""
        known = self._connections.get(connection) if connection is not None else None
        return known.kind if known is not None else "postgresql"

    def other(self, connection: str, **_named: object) -> NoReturn:
        """Refuse: only PostgreSQL is looked at."""
        raise JobFailure(self._only_postgresql(connection))

    def other_alone(self, connection: str) -> NoReturn:
        """Refuse: nothing is committed."""
        raise JobFailure(self._only_postgresql(connection))

    def _only_postgresql(self, connection: str) -> str:
        product = PRODUCTS[self.kind_of(connection)]
        return f"a forecast looks at PostgreSQL only, and the connection {connection} is {product}"

    def roll_back(self) -> None:
        """Undo all that is open."""
        for name, held in list(self._held.items()):
            del self._held[name]
            try:
                held.roll_back()
            except Exception:  # noqa: BLE001 - whatever it is, the connection is done for
                with suppress(Exception):
                    held.line.invalidate()
        self._read_only.end_all()

    def close(self) -> None:
        """Undo all that is open, and close the connections."""
        self.roll_back()
        for engine in self._engines.values():
            engine.dispose()

    def _transaction(self, name: str | None) -> Held:
        if name not in self._held:
            opened = self._engine(name).connect()
            role = self._role_of(name)
            try:
                self._held[name] = hold(opened, self._settings(name, as_role=False), role=role)
            except BaseException:
                opened.invalidate()
                raise
        return self._held[name]

    def _role_of(self, name: str | None) -> str | None:
        if self.step_role is not None and self.step_role[0] == name:
            return self.step_role[1]
        return None if name is None else self._connections[name].role

    def _settings(self, name: str | None, *, as_role: bool = True) -> str:
        role = self._role_of(name) if as_role else None
        return (
            f"SET LOCAL statement_timeout = {max(1, round(self._timeout_s * 1000))};"
            f" SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS};"
            + (f" SET LOCAL ROLE {quoted_name(role)};" if role else "")
        )

    def _engine(self, name: str | None) -> Engine:
        if name not in self._engines:
            if name is None:
                known = NamedConnection(self._control_url())
            elif name in self._connections:
                known = placed(self._connections[name], self._control_url)
                if known.kind != "postgresql":
                    raise JobFailure(self._only_postgresql(name))
            else:
                raise ConfigError(f'no connection is named "{name}"')
            engine = target_engine(known, "plan")
            event.listen(engine, "connect", self._guarded)
            self._engines[name] = engine
        return self._engines[name]

    def _guarded(self, raw: Any, _record: object) -> None:
        raw.guard = self._guard


@contextmanager
def _joined(opened: Any) -> Iterator[Session]:
    session = Session(bind=opened, join_transaction_mode="create_savepoint")
    try:
        yield session
        session.commit()
    finally:
        session.close()
