"""The part of a job's sessions that leads to databases which are not PostgreSQL."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from headrace.errors import JobFailure
from headrace.model.connection import PRODUCTS, Kind, NamedConnection
from headrace.store.job_connection import Guard
from headrace.store.others.line import Line
from headrace.store.others.transactions import OtherTransactions

if TYPE_CHECKING:
    from headrace.store.job_engines import JobEngines


class OtherSessions(ABC):
    """Opens them in the attempt's transactions there."""

    lock_timeout_s: float | None
    _engines: "JobEngines"

    def __init__(self, connections: Mapping[str, NamedConnection], guard: Guard) -> None:
        self._others = OtherTransactions(connections, guard)

    @abstractmethod
    def _use(self) -> tuple[UUID, int]: ...

    def kind_of(self, connection: str | None) -> Kind:
        """Return the kind of a connection's database."""
        return self._others.kind_of(connection)

    def work_as(self, role: tuple[str | None, str] | None) -> None:
        """Have the attempt work as a role on one connection, whatever the connection's own is.

        Raises:
            JobFailure: The connection leads to a database without roles.
        """
        if role is not None and role[0] is not None:
            kind = self.kind_of(role[0])
            if kind != "postgresql":
                raise JobFailure(f"role does not work in {PRODUCTS[kind]}, only in PostgreSQL")
        self._engines.step_role = role

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
