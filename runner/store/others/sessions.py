"""The part of a job's sessions that leads to databases which are not PostgreSQL."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from headrace.model.connection import Kind, NamedConnection
from headrace.store.job_connection import Guard
from headrace.store.others.line import Line
from headrace.store.others.transactions import OtherTransactions


class OtherSessions(ABC):
    """Opens them in the attempt's transactions there."""

    lock_timeout_s: float | None

    def __init__(self, connections: Mapping[str, NamedConnection], guard: Guard) -> None:
        self._others = OtherTransactions(connections, guard)

    @abstractmethod
    def _use(self) -> tuple[UUID, int]: ...

    def kind_of(self, connection: str | None) -> Kind:
        """Return the kind of a connection's database."""
        return self._others.kind_of(connection)

    @contextmanager
    def other(self, connection: str, *, read_only: bool = False) -> Iterator[Line]:
        """Open a database that is not PostgreSQL, in the attempt's transaction there.

        Raises:
            EffectApplied: An earlier attempt has committed its effect there.
        """
        job_id, _attempt = self._use()
        self._others.lock_timeout_s = self.lock_timeout_s
        with self._others.use(connection, job_id, read_only=read_only) as line:
            yield line

    @contextmanager
    def other_alone(self, connection: str) -> Iterator[Line]:
        """Open one on which each statement commits by itself."""
        self._use()
        self._others.lock_timeout_s = self.lock_timeout_s
        with self._others.alone(connection) as line:
            yield line
