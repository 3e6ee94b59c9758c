"""An attempt's transaction on one database, and its mark: who ends it from inside is found out.

The mark is the transaction's own number, which the completing statement and the ledger demand
(I16 of docs/guarantees.md), with a savepoint beside it: after an error nothing can be asked, but
one can go back to a savepoint of the same transaction, and of no other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import TRANSACTION_STATUS_INERROR

from headrace.errors import TransactionEnded
from headrace.store.attempt_mark import NO_MARK, Mark, beginning, new_savepoint
from headrace.store.begun_ahead import Ahead
from headrace.store.job_connection import JobConnection
from headrace.store.late_connection import LateConnection, Line, connection_of, raw_of
from headrace.store.session_state import before_end, begin_number, reset
from headrace.store.statements import STATEMENTS
from headrace.store.transaction_fate import fate

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Last: the ledger is read by the role that logs in.
_AS_ROLE = ", pg_catalog.set_config('role', %(role)s, true)"
_IN_LEDGER = STATEMENTS["begin_in_ledger"]
_SIGN = STATEMENTS["sign_ledger"]
_PREPARE = f"{_IN_LEDGER.prepare}; {_SIGN.prepare}; "
_BEFORE_END = "headrace_before_end"


class EffectApplied(BaseException):
    """The target's ledger says that an earlier attempt's effect is committed there.

    No Exception: a job that catches those must not hide it.
    """


@dataclass(slots=True)
class Held:
    """A transaction that the attempt commits. `applied`: the ledger there has the job already.

    `server` is the moment at which the server was started that has given the number out.
    `committing`: the attempt has sent its COMMIT, and nothing of the job's can run any more.
    """

    line: Line
    raw: JobConnection
    number: str
    server: str
    savepoint: str
    applied: bool = False
    committing: bool = False

    @property
    def opened(self) -> "Connection":
        """The connection for sessions."""
        return connection_of(self.line)

    def commit(self, then: str = "", ahead: Ahead | None = None) -> None:
        """Commit, whatever the job's code has done to the connection's wrapping.

        `then` are commands that put the session in order, and `ahead` is the transaction to begin
        after them. Where they fail, what is committed stays so, and the session is ended.
        """
        self.committing = True
        self._let_go()
        try:
            row = self.raw.end("COMMIT", then + (ahead.commands if ahead else ""))
            if ahead is not None:
                ahead.begun(self.raw, row)
        except psycopg2.Error:
            if not then or self.raw.closed or self.fate() != "committed":
                raise
            self.line.invalidate()
        else:
            self.line.close()

    def complete(self, completing: str, then: str, ahead: Ahead | None) -> bool:
        """Commit, in one message with the commands that record the attempt's end before it.

        Returns False where those fail: what the job did is kept, the transaction open. Otherwise
        as `commit`.

        Raises:
            TransactionEnded: It is another one, in which they have failed.
        """
        before = f"{self.in_order()}SAVEPOINT {_BEFORE_END}; {completing}; COMMIT; "
        self.committing = True
        try:
            with self.raw.plain() as cursor:
                cursor.execute(before + then + (ahead.commands if ahead else ""))
                if ahead is not None:
                    ahead.begun(self.raw, cursor.fetchone())
        except psycopg2.Error as error:
            if self.raw.get_transaction_status() == TRANSACTION_STATUS_INERROR:
                self.committing = False
                self._send(f"ROLLBACK TO SAVEPOINT {_BEFORE_END}")
                return False
            self._let_go()
            if isinstance(error, NO_MARK):
                # Whoever has ended it may have committed it: that is not our COMMIT.
                self.committing = False
                raise TransactionEnded from error
            if self.raw.closed or self.fate() != "committed":
                raise
            self.line.invalidate()
        else:
            self._let_go()
            self.line.close()
        return True

    def roll_back(self) -> None:
        """Undo everything."""
        self._let_go()
        self.raw.end("ROLLBACK")
        self.line.close()

    def in_order(self) -> str:
        """Return what comes before the statements that record the attempt's end."""
        moved = self.raw.mark.to_move() if self.raw.mark else ""
        return moved + before_end(prepared=self.raw.prepared)

    def fate(self) -> str:
        """Return what became of it, as its own connection's server knows."""
        return fate(self.raw, self.number, self.server)

    def _let_go(self) -> None:
        self.raw.held, self.raw.mark = False, None

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
        except NO_MARK:
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
        self._send(self._signing((job_id, attempt)))

    def sign_and_commit(self, *attempts: tuple[UUID, int]) -> None:
        """Do both in one message, and put the session in order with it, on a quiet connection.

        Where the last of these fails, what is committed stays so, and the session is ended.

        Raises:
            TransactionEnded: It is another one.
            EffectApplied: Another attempt has committed its effect there first.
        """
        commands = self._signing(*attempts)
        then = reset(prepared=self.raw.prepared) + self.raw.settings_sql
        self.committing = True
        self._let_go()
        try:
            self._send(f"{commands}; COMMIT; {then}")
        except psycopg2.Error as error:
            if isinstance(error, errors.UniqueViolation) and _is_of_ledger(error):
                # A paused attempt that was given up has woken and come first. The job is still
                # ours to complete: its effect is there, once.
                raise EffectApplied from None
            # Still in a transaction: COMMIT was not reached, and whose it is remains to be asked.
            undone = self.raw.get_transaction_status() == TRANSACTION_STATUS_INERROR
            self.committing = not undone
            if undone or self.raw.closed or self.fate() != "committed":
                raise
            self.line.invalidate()
        else:
            self.raw.in_order = True
            self.line.close()

    def _signing(self, *attempts: tuple[UUID, int]) -> str:
        known = self.raw.prepared and self.raw.signs
        sql = _SIGN.execute if known else _SIGN.pyformat
        with self.raw.plain() as cursor:
            rows: list[bytes] = [
                cursor.mogrify(sql, {"id": str(job_id), "attempt": number, "xact": self.number})
                for job_id, number in attempts
            ]
        return self.in_order() + b"; ".join(rows).decode()

    def _send(self, commands: str) -> None:
        try:
            with self.raw.plain() as cursor:
                cursor.execute(commands)
        except (*NO_MARK, errors.NotNullViolation) as error:
            if isinstance(error, errors.NotNullViolation) and not _is_of_ledger(error):
                raise
            self.committing = False
            raise TransactionEnded from error


def hold(
    line: Line,
    settings: str,
    *,
    ledger_of: UUID | None = None,
    role: str | None = None,
    ahead: Ahead | None = None,
) -> Held:
    """Begin the attempt's transaction, its mark and the look into the ledger in one round trip.

    `settings` are commands that come first; `role` is the one that the job works as; `ahead` is the
    transaction where it is open.
    """
    if not isinstance(line, LateConnection):
        line.begin()
    raw = raw_of(line)
    if ahead is not None:
        ahead.adopt(raw)
        return Held(line, raw, ahead.number, raw.server_since, ahead.savepoint)
    savepoint = new_savepoint()
    asked = beginning(settings, savepoint, quiet=raw.quiet)
    # Under the job's own search path: names that are the server's are written in full.
    asked += _number(raw, in_ledger=ledger_of is not None, as_role=role is not None)
    with raw.plain() as cursor:
        cursor.execute(asked, {"id": ledger_of and str(ledger_of), "role": role})
        number, *applied = cursor.fetchone()
    raw.signs = raw.signs or _PREPARE in asked
    # The role was taken on behind the mark: to go back there would be to give it up.
    raw.held, raw.mark, raw.in_order = True, Mark(savepoint, fresh=role is None), False
    return Held(line, raw, number, raw.server_since, savepoint, applied[:1] == [True])


def _number(raw: JobConnection, *, in_ledger: bool, as_role: bool) -> str:
    """Return the statement that gives the transaction its number, and what else is to be known."""
    if not in_ledger:
        return begin_number(prepared=raw.prepared and not as_role) + (_AS_ROLE if as_role else "")
    # Prepared with the first job: the ledger is there by then.
    prepare = _PREPARE if raw.prepared and not raw.signs else ""
    if raw.prepared and not as_role:
        return prepare + _IN_LEDGER.execute
    return prepare + _IN_LEDGER.pyformat + (_AS_ROLE if as_role else "")


def _is_of_ledger(error: psycopg2.Error) -> bool:
    return (error.diag.schema_name, error.diag.table_name) == ("headrace", "ledger")


@contextmanager
def reading(held: Held) -> Iterator[Line]:
    """Let nothing be written within the block, which no SQL in it can undo.

    PostgreSQL takes READ ONLY back at the end of the savepoint in which it was set, and not
    before; that savepoint's name cannot be guessed.
    """
    savepoint = new_savepoint()
    mark = held.raw.mark
    assert mark is not None, "the attempt's transaction is open"
    with held.raw.plain() as cursor:
        cursor.execute(f"{mark.to_move()}SAVEPOINT {savepoint}; SET TRANSACTION READ ONLY")
    mark.moved()
    mark.fresh = False
    try:
        yield held.line
    except BaseException:
        if not held.raw.closed:
            with held.raw.plain() as cursor:
                cursor.execute(f"ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}")
        raise
    with held.raw.plain() as cursor:
        cursor.execute(f"RELEASE SAVEPOINT {savepoint}")
