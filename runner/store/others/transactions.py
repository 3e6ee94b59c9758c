"""An attempt's transactions on databases that are not PostgreSQL."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

from headrace.errors import JobFailure, JobStopped, TransactionEnded
from headrace.model.connection import Kind, NamedConnection
from headrace.store.attempt_transaction import EffectApplied
from headrace.store.job_connection import Guard
from headrace.store.others.line import Line

_ENDED = (
    "its SQL ended the transaction on the connection {name}; what it did before may be committed"
    " there"
)


@dataclass(slots=True)
class _Held:
    """A line with its transaction; `users` are the blocks that use it."""

    line: Line
    read_only: bool
    users: int = 0


class OtherTransactions:
    """At most one for each connection; every line is closed when the attempt ends.

    So a file is free for others between two jobs, and a session keeps nothing of a job.
    """

    def __init__(self, connections: Mapping[str, NamedConnection], guard: Guard) -> None:
        self._connections, self._guard = connections, guard
        self._held: dict[str, _Held] = {}
        self.lock_timeout_s: float | None = None
        self.ended: str | None = None

    def kind_of(self, name: str | None) -> Kind:
        """Return the kind of a connection's database; what is unknown is for others to refuse."""
        known = self._connections.get(name) if name is not None else None
        return known.kind if known is not None else "postgresql"

    @contextmanager
    def use(self, name: str, job_id: UUID, *, read_only: bool) -> Iterator[Line]:
        """Yield a line in the attempt's transaction.

        Raises:
            EffectApplied: An earlier attempt has committed its effect there.
        """
        held = self._held.get(name)
        if held is not None and held.read_only and not read_only:
            if held.users:
                raise JobFailure(f"{name} is being read: a job that writes there opens it first")
            self._let_go(name)
            held = None
        if held is None:
            held = self._begun(name, job_id, read_only=read_only)
        held.users += 1
        try:
            yield held.line
        except JobStopped:
            # Its process ends without a word to its connections.
            held.line.close()
            raise
        finally:
            held.users -= 1

    @contextmanager
    def alone(self, name: str) -> Iterator[Line]:
        """Yield a line on which each statement commits by itself.

        Raises:
            JobFailure: the attempt has a transaction open there already.
        """
        if name in self._held:
            raise JobFailure(f"the job's transaction on {name} is open: use a step of its own")
        line = self._line(name)
        line.alone = True
        line.open(read_only=False)
        try:
            yield line
        finally:
            line.close()

    def commit(self, job_id: UUID, attempt: int) -> None:
        """Commit what was written, each database with its ledger's row.

        Raises:
            EffectApplied: Another attempt has committed there first.
            TransactionEnded: The job has ended its transaction there.
        """
        for name, held in list(self._held.items()):
            if not held.read_only:
                try:
                    held.line.commit(job_id, attempt)
                except TransactionEnded:
                    self.ended = _ENDED.format(name=name)
                    raise
            self._let_go(name)

    def roll_back(self) -> None:
        """Undo all that is open."""
        for name, held in list(self._held.items()):
            with suppress(Exception):
                line = held.line
                known = held.read_only or line.committing or line.undone or self.ended
                if not known and line.ended_inside():
                    self.ended = _ENDED.format(name=name)
            self._let_go(name)

    def _begun(self, name: str, job_id: UUID, *, read_only: bool) -> _Held:
        line = self._line(name)
        try:
            line.open(read_only=read_only)
            if not read_only:
                line.ready_ledger()
            line.begin(read_only=read_only)
            self._held[name] = held = _Held(line, read_only)
            if not read_only and line.has(job_id):
                raise EffectApplied
        except BaseException:
            self._held.pop(name, None)
            line.close()
            raise
        return held

    def _let_go(self, name: str) -> None:
        held = self._held.pop(name)
        # It may be committed, or the server gone: closing it undoes what is open.
        with suppress(Exception):
            held.line.roll_back()
        with suppress(Exception):
            held.line.close()

    def _line(self, name: str) -> Line:
        connection = self._connections[name]
        line = _class_of(connection.kind)
        return line(name, connection, self._guard, self.lock_timeout_s)


def _class_of(kind: Kind) -> type[Line]:
    # Imported here: most workers speak to none of them.
    if kind == "sqlite":
        from headrace.store.others.sqlite_line import SqliteLine

        return SqliteLine
    if kind == "mysql":
        from headrace.store.others.mysql_line import MysqlLine

        return MysqlLine
    from headrace.store.others.duckdb_line import DuckdbLine

    return DuckdbLine
