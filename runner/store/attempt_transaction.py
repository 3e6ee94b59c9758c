"""An attempt's transaction on one database, and its mark: who ends it from inside is found out.

The mark is the transaction's own number, which the completing statement and the ledger demand
(I16 of docs/guarantees.md), with a savepoint beside it: after an error nothing can be asked, but
one can go back to a savepoint of the same transaction, and of no other.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg2
from psycopg2 import errors

from headrace.errors import StoreUnavailable, TransactionEnded
from headrace.store.job_connection import JobConnection
from headrace.store.outages import unavailable_message
from headrace.store.session_settings import OWN_SEARCH_PATH
from headrace.store.session_state import IN_ORDER
from headrace.store.statements import STATEMENTS

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Under the job's own search path: names that are the server's are written in full.
_MARK = "{settings}SAVEPOINT {savepoint}; SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text"
_APPLIED = ", EXISTS (" + STATEMENTS["ledger_entry"].pyformat + ")"
_OWN_PATH = f"SET LOCAL search_path = {OWN_SEARCH_PATH}; "
_LONGEST_WAIT_S = 60.0
_LOOK_EVERY_S = 0.1


@dataclass(slots=True)
class Held:
    """A transaction that the attempt commits. `applied`: the ledger there has the job already.

    `committing`: the attempt has sent its COMMIT, and nothing of the job's can run any more.
    """

    opened: "Connection"
    raw: JobConnection
    number: str
    savepoint: str
    applied: bool = False
    committing: bool = False

    def commit(self) -> None:
        """Commit, whatever the job's code has done to the connection's wrapping."""
        self.committing = True
        self.raw.held = False
        self.raw.commit()
        self.opened.close()

    def roll_back(self) -> None:
        """Undo everything."""
        self.raw.held = False
        self.raw.rollback()
        self.opened.close()

    def ended_inside(self) -> bool | None:
        """Return whether this is another transaction than the attempt's by now.

        None where the connection is gone. What was done is undone by the question. A COMMIT that
        the server has refused, for a deferred constraint, has ended it from outside.
        """
        if self.committing:
            return None if self.raw.closed else False
        try:
            with self.raw.plain() as cursor:
                cursor.execute(f"ROLLBACK TO SAVEPOINT {self.savepoint}")
        except (errors.InvalidSavepointSpecification, errors.NoActiveSqlTransaction):
            return True
        except psycopg2.Error:
            return None
        return False

    def sign(self, job_id: UUID, attempt: int) -> None:
        """Enter the job in the ledger, in the transaction that began with the attempt and no other.

        Raises:
            TransactionEnded: It is another one.
            psycopg2.IntegrityError: The job has been entered.
        """
        values = {"id": str(job_id), "attempt": attempt, "xact": self.number}
        with self.raw.plain() as cursor:
            cursor.execute(IN_ORDER + STATEMENTS["sign_ledger"].pyformat, values)
            if cursor.rowcount != 1:
                raise TransactionEnded


def hold(opened: "Connection", settings: str, *, ledger_of: UUID | None = None) -> Held:
    """Begin the attempt's transaction, its mark and the look into the ledger in one round trip.

    `settings` are commands that come first.
    """
    opened.begin()
    raw: Any = opened.connection.dbapi_connection
    savepoint = f"headrace_{secrets.token_hex(8)}"
    asked = _MARK.format(settings=settings, savepoint=savepoint) + (_APPLIED if ledger_of else "")
    with raw.plain() as cursor:
        cursor.execute(asked, {"id": ledger_of and str(ledger_of)})
        number, *applied = cursor.fetchone()
    raw.held = True
    return Held(opened, raw, number, savepoint, applied == [True])


@contextmanager
def reading(held: Held) -> Iterator[None]:
    """Let nothing be written within the block, which no SQL in it can undo.

    PostgreSQL takes READ ONLY back at the end of the savepoint in which it was set, and not
    before; that savepoint's name cannot be guessed.
    """
    savepoint = f"headrace_{secrets.token_hex(8)}"
    with held.raw.plain() as cursor:
        cursor.execute(f"SAVEPOINT {savepoint}; SET TRANSACTION READ ONLY")
    try:
        yield
    except BaseException:
        if not held.raw.closed:
            with held.raw.plain() as cursor:
                cursor.execute(f"ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}")
        raise
    with held.raw.plain() as cursor:
        cursor.execute(f"RELEASE SAVEPOINT {savepoint}")


def fate(raw: Any, number: str, *, ledger_of: UUID | None = None) -> str:
    """Return what became of a transaction: committed, aborted, prepared, or `entered`.

    Entered is one that was committed together with the job's row in the ledger, as it should be.
    Where it is still at work, in the backend of a connection that was cut, that one is ended.

    Raises:
        StoreUnavailable: The database does not answer, or the backend does not end.
    """
    deadline = time.monotonic() + _LONGEST_WAIT_S
    while True:
        try:
            with raw.plain() as cursor:
                sql = _OWN_PATH + STATEMENTS["fate_of_transaction"].pyformat
                cursor.execute(sql, {"xact": number})
                status, prepared, _ended = cursor.fetchone()
        except errors.InvalidParameterValue:
            # A number that the server has not given out: it crashed, and the transaction with it.
            return "aborted"
        except psycopg2.Error as error:
            raise StoreUnavailable(unavailable_message(error)) from error
        if prepared:
            return "prepared"
        if status != "in progress":
            break
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"transaction {number} of a lost connection does not end")
        time.sleep(_LOOK_EVERY_S)
    if status == "committed" and ledger_of is not None and _in_ledger(raw, ledger_of):
        return "entered"
    return str(status or "aborted")


def _in_ledger(raw: Any, job_id: UUID) -> bool:
    with raw.plain() as cursor:
        cursor.execute(STATEMENTS["ledger_entry"].pyformat, {"id": str(job_id)})
        return bool(cursor.rowcount)
