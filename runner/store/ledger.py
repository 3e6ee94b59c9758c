"""`headrace.ledger` in a target: which jobs' effects are committed there, so that none is twice.

It is looked for before a job writes, and made where it is missing and may be made. Where it may
not, or where the server takes no writes, a job can still read.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import quote_ident
from sqlalchemy.exc import DBAPIError

from headrace.errors import StoreUnavailable
from headrace.store.statements import STATEMENTS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

# Any number; only that nobody else takes it.
_LOCK = 1751474532


# How a transaction learns that the ledger is not there any more, or not for its role.
GONE = (errors.UndefinedTable, errors.InvalidSchemaName, errors.InsufficientPrivilege)


class Ledgers:
    """Targets that have their ledger, as far as one child knows.

    `reasons` are those why others have none. `beside` gives the engines of the other connections
    to a connection's database.
    """

    def __init__(self, beside: Callable[[str], Iterable["Engine"]]) -> None:
        self._beside = beside
        self._there: set[str] = set()
        self.reasons: dict[str, str] = {}

    def why_none(self, name: str, engine: "Engine", *, anew: bool = False) -> str | None:
        """Return why a job may only read in a target, None where it may write.

        With `anew` what was known does not count.
        """
        if name in self._there and not anew:
            return None
        self._there.discard(name)
        reason = ready(engine, self._beside(name))
        if reason is None:
            # Attempts write over another connection: one is enough while nothing else needs two.
            engine.dispose()
            self._there.add(name)
            self.reasons.pop(name, None)
        else:
            self.reasons[name] = reason
        return reason


@dataclass(frozen=True, slots=True)
class _State:
    """The state of schema and table, and the privileges of the session's role."""

    database: str
    role: str
    read_only: bool
    may_make_schema: bool
    schema: bool
    owns_schema: bool
    may_make_table: bool
    ledger: bool
    may_use: bool

    @property
    def usable(self) -> bool:
        return self.ledger and self.may_use and not self.read_only

    @property
    def makeable(self) -> bool:
        return not (self.ledger or self.read_only) and (
            self.may_make_table if self.schema else self.may_make_schema
        )


def ready(engine: "Engine", beside: Iterable["Engine"]) -> str | None:
    """Make the ledger where it is missing; return why a job may only read, None if it may write.

    In a transaction of its own: the job's may stand open for hours, and others would wait. Where
    the ledger is one of the others', which are `beside`, that one's role opens it for this one.
    """
    state, reason = _made(engine)
    if reason is None or state.read_only or not state.ledger:
        return reason
    for other in beside:
        if _opened(other, state):
            return _made(engine)[1]
    return reason


def _opened(other: "Engine", state: "_State") -> bool:
    """Have another connection's role open its ledger for a role; return whether it could."""
    try:
        with other.begin() as connection:
            # Two that grant at once fail each other.
            _run(connection, f"SELECT pg_advisory_xact_lock({_LOCK})")
            database, may = _run(connection, STATEMENTS["may_open_ledger"].pyformat, {})[0]
            if database != state.database or not may:
                return False
            role = quote_ident(state.role, _raw(connection))
            _run(connection, f"GRANT SELECT, INSERT ON headrace.ledger TO {role}")
            return True
    except (DBAPIError, psycopg2.Error, StoreUnavailable):
        return False  # What the job's own role lacks is told.


def _made(engine: "Engine") -> tuple["_State", str | None]:
    with engine.begin() as connection:
        state = _state(connection)
        if state.makeable:
            # Two workers may come here together: the second one waits, then finds it made. It
            # reads the catalogue's tables: what a function like to_regclass has not found stays
            # unfound in its session's cache.
            _run(connection, f"SELECT pg_advisory_xact_lock({_LOCK})")
            state = _state(connection)
            if state.makeable:
                _make(connection, state)
                state = _state(connection)
        return state, None if state.usable else _reason(connection, state)


def _make(connection: "Connection", state: _State) -> None:
    if not state.schema:
        _run(connection, STATEMENTS["make_schema"].sql)
    if not state.schema or state.owns_schema:
        _run(connection, STATEMENTS["open_schema"].sql)
    _run(connection, STATEMENTS["make_ledger"].sql)


def _state(connection: "Connection") -> _State:
    return _State(*_run(connection, STATEMENTS["ledger_state"].pyformat, {})[0])


def _reason(connection: "Connection", state: _State) -> str:
    if state.read_only:
        return (
            f'the database "{state.database}" takes no writes from the role "{state.role}" (it is'
            " a standby, or default_transaction_read_only is on): jobs can only read there. For"
            " those that write the connection's URL has to name the primary, or all servers with"
            " target_session_attrs=read-write"
        )
    role = quote_ident(state.role, _raw(connection))
    commands = [
        "" if state.schema else STATEMENTS["make_schema"].sql,
        "" if state.ledger else STATEMENTS["make_ledger"].sql,
        f"GRANT USAGE ON SCHEMA headrace TO {role}",
        f"GRANT SELECT, INSERT ON headrace.ledger TO {role}",
    ]
    listed = "; ".join(" ".join(command.split()) for command in commands if command)
    return (
        f'the role "{state.role}" may not make, or not use, Headrace\'s table headrace.ledger in'
        f' the database "{state.database}", so that jobs can only read there. For jobs that write'
        f" its administrator runs in that database: {listed};"
    )


def _raw(connection: "Connection") -> Any:
    return connection.connection.dbapi_connection


def _run(connection: "Connection", sql: str, values: dict[str, Any] | None = None) -> list[Any]:
    """Run a statement of ours beside SQLAlchemy, whose listeners watch over those of jobs."""
    with _raw(connection).plain() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []
