"""The connection that a job works on: one statement a message, and a transaction not its own.

Whatever way a job's text takes (SQLAlchemy, a cursor of the driver's, COPY) it comes through a
cursor of this connection.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Literal, Protocol

import psycopg2.extensions
from psycopg2.extensions import STATUS_BEGIN, TRANSACTION_STATUS_IDLE

from headrace.errors import RefusedSql
from headrace.store.attempt_mark import Mark
from headrace.store.parsing import refuse_several
from headrace.store.server_session import ServerSession

_autocommit: Any = vars(psycopg2.extensions.connection)["autocommit"]
_SETTINGS = {"standard_conforming_strings": "on", "client_encoding": "UTF8"}


class Guard(Protocol):
    """Refuses what a job's SQL may not do."""

    def check(self, statement: str, *, copy: bool = False) -> bool:
        """Refuse what would end the transaction; True where the session is marked by it."""
        ...

    def split(self, text: str) -> list[str]:
        """Return the statements of a text."""
        ...


class JobConnection(ServerSession):
    """A connection of the driver's that jobs may be given.

    While it is `held`, the transaction is the attempt's: it is neither committed nor rolled back
    by whoever uses the connection; `mark` is the attempt's mark then. `on_mark` is called where a
    statement leaves something in the session.
    """

    guard: Guard | None = None
    held = False
    mark: Mark | None = None
    # Whether the driver sends no BEGIN, COMMIT or ROLLBACK of its own.
    quiet = False
    # Whether it has the statements of `session_state` prepared.
    prepared = False
    # Whether the session was put in order after the last attempt.
    in_order = False
    # Whether the transaction that is open was begun ahead, and nothing was done in it yet.
    ahead = False
    # Whether it has those of the ledger prepared.
    signs = False
    # Of SQLAlchemy's, while it is taken out of its pool from one attempt to the next.
    kept: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_mark: Callable[[], None] = lambda: None

    def cursor(self, *args: Any, **options: Any) -> Any:
        """Return a cursor that asks the guard, of whatever class is wanted."""
        self._not_fresh()
        if self.guard is None:
            return super().cursor(*args, **options)
        wanted: Any = options.pop("cursor_factory", None) or self.cursor_factory
        factory = _guarded(wanted or psycopg2.extensions.cursor)
        return super().cursor(*args, cursor_factory=factory, **options)

    def be_quiet(self) -> None:
        """Have transactions begin and end by our own texts, in one message with what is beside.

        The driver believes from now on that one is open: it begins none, and has cursors with a
        name, which it would refuse in its autocommit mode.
        """
        self.autocommit = False
        with self.plain() as cursor:
            cursor.execute("COMMIT")
        self.quiet = True

    @property
    def well(self) -> bool:
        """Return whether it is open, and the driver as quiet as it was told to be."""
        return not self.closed and (not self.quiet or self.status == STATUS_BEGIN)

    @property
    def autocommit(self) -> bool:
        """See psycopg2; a quiet connection has nothing to be switched."""
        return self.quiet or bool(_autocommit.__get__(self))

    @autocommit.setter
    def autocommit(self, wanted: bool) -> None:
        if not self.quiet:
            _autocommit.__set__(self, wanted)

    def set_isolation_level(self, level: int | None) -> None:
        """See psycopg2, which would roll back; a quiet connection has nothing to be switched."""
        if not self.quiet:
            super().set_isolation_level(level)

    def lobject(self, *args: Any, **options: Any) -> Any:
        """See psycopg2: a large object is read and written without a cursor."""
        self._not_fresh()
        return super().lobject(*args, **options)

    def _not_fresh(self) -> None:
        if self.mark is not None:
            self.mark.fresh = False

    def commit(self) -> None:
        """Commit, where the transaction is not an attempt's."""
        self._refuse_to_end("commit")
        self.end("COMMIT")

    def rollback(self) -> None:
        """Roll back, where the transaction is not an attempt's."""
        self._refuse_to_end("roll back")
        self.end("ROLLBACK")

    def end(self, how: Literal["COMMIT", "ROLLBACK"], then: str = "") -> Any:
        """End the transaction, where one is open; `then` are commands to send with it.

        Returns the first row of the last one of them; what was begun ahead stays open.
        """
        if self.quiet:
            idle = self.get_transaction_status() == TRANSACTION_STATUS_IDLE
            ending = "" if idle or self.ahead else f"{how}; "
            if not (ending or then):
                return None
            with self.plain() as cursor:
                cursor.execute(ending + then)
                return cursor.fetchone() if cursor.description else None
        assert not then, "the driver sends nothing with its COMMIT"
        if how == "COMMIT":
            super().commit()
        else:
            super().rollback()
        return None

    def refuse_disorder(self) -> None:
        """Refuse to go on where quotes no longer mean what the driver and the guard assume.

        Raises:
            RefusedSql: A setting was changed.
        """
        for name, value in _SETTINGS.items():
            found = self.get_parameter_status(name)
            if found != value:
                raise RefusedSql(
                    f"{name} is {found} and has to stay {value} in a job's session: otherwise"
                    " quotes do not end where they seem to. Take the statement out that changes it"
                )

    def _refuse_to_end(self, how: str) -> None:
        if self.held:
            raise RefusedSql(
                f"a job does not {how} its connection's transaction, which commits together with"
                " the job's completion; commit() and rollback() of a session are savepoints"
            )


class _Guarded:
    """Stands before a cursor class of the driver's."""

    connection: JobConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - the driver's own name
        """Send each statement in a message of its own; the last one's rows are the cursor's."""
        for statement in self._statements(query, vars):
            super().execute(statement)  # type: ignore[misc]
        self.connection.refuse_disorder()

    def executemany(self, query: Any, vars_list: Iterable[Any]) -> None:
        """Send one statement again and again, with other values each time."""
        given = list(vars_list)
        for values in given:
            self._one(query, values)
        super().executemany(query, given)  # type: ignore[misc]
        self.connection.refuse_disorder()

    def callproc(self, procname: str, *args: Any) -> Any:
        """Call a function by its name, which the driver does not quote."""
        if ";" in procname:
            raise RefusedSql(f"{procname!r} is not the name of a function")
        self.connection.refuse_disorder()
        result = super().callproc(procname, *args)  # type: ignore[misc]
        self.connection.refuse_disorder()
        return result

    def copy_expert(self, sql: Any, *args: Any, **options: Any) -> None:
        """Run a COPY whose data come from, or go to, the client."""
        statement = self._one(sql, None, copy=True)
        super().copy_expert(statement.decode(), *args, **options)  # type: ignore[misc]
        self.connection.refuse_disorder()

    def _one(self, query: Any, values: Any, *, copy: bool = False) -> bytes:
        found = list(self._statements(query, values, copy=copy))
        if len(found) != 1:
            raise RefusedSql(f"one statement is wanted here, not {len(found)}")
        return found[0]

    def _statements(self, query: Any, values: Any, *, copy: bool = False) -> Iterator[bytes]:
        """Yield what is to be sent, each piece proven to be one statement when its turn comes.

        Without a semicolon it is: nothing else ends one. One that is left in a piece stands in a
        text or a body, which is for PostgreSQL to say.
        """
        raw, guard = self.connection, self.connection.guard
        assert guard is not None
        raw.refuse_disorder()
        sent: bytes = self.mogrify(query, values)  # type: ignore[attr-defined]
        written = query.decode() if isinstance(query, bytes) else query
        # Values are quoted: what the text is, is seen without them, unless it begins with one.
        if not isinstance(written, str) or written.lstrip().startswith("%"):
            written = sent.decode()
        if guard.check(written, copy=copy):
            # DEALLOCATE ALL is one of these.
            raw.prepared = False
            raw.on_mark()
        if b";" not in sent:
            yield sent
            return
        pieces = guard.split(sent.decode())
        for piece in pieces or [""]:
            if len(pieces) > 1:
                guard.check(piece)
            if ";" in piece:
                refuse_several(raw, piece.encode())
            yield piece.encode()


@lru_cache(maxsize=32)
def _guarded(factory: type) -> type:
    if issubclass(factory, _Guarded):
        return factory
    return type(f"Guarded{factory.__name__}", (_Guarded, factory), {})
