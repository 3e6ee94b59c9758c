"""Parts of a job's work with a commit of their own, each committed once, by the active attempt.

A part is entered in the ledger under an id made of the job's and its label, in the transaction that
does it: an attempt that goes on after another one passes over what is there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid5

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from headrace.errors import JobFailure, StaleAttempt
from headrace.store.attempt_transaction import Held, hold
from headrace.store.attempts import AttemptStore
from headrace.store.statements import STATEMENTS


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a job's work, as one attempt does it."""

    job_id: UUID
    attempt: int
    label: str

    @contextmanager
    def open(
        self, opened: Connection, settings: str, role: str | None, control: AttemptStore | None
    ) -> Iterator[Session | None]:
        """Yield a session whose work is committed at the end of the block, None if it was before.

        `control` is the line to the control database, None where `opened` leads there itself: then
        the attempt's row is held until the commit, so that nobody can end the attempt in between.

        Raises:
            StaleAttempt: the attempt is over.
        """
        held = hold(opened, settings, ledger_of=self._id, role=role)
        try:
            if held.applied:
                held.roll_back()
                yield None
                return
            with Session(bind=opened, join_transaction_mode="create_savepoint") as session:
                yield session
                session.commit()
            self._sign(held)
            self._refuse_stale(held, control)
            held.commit()
        except BaseException:
            held.roll_back()
            raise

    @property
    def _id(self) -> UUID:
        return uuid5(self.job_id, self.label)

    def _sign(self, held: Held) -> None:
        try:
            held.sign(self._id, self.attempt)
        except psycopg2.IntegrityError:
            raise JobFailure(
                f"another attempt of the job has committed the part {self.label} meanwhile"
            ) from None

    def _refuse_stale(self, held: Held, control: AttemptStore | None) -> None:
        values = {"id": str(self.job_id), "attempt": self.attempt}
        if control is not None:
            current = bool(control.rows("hold_attempt", id=self.job_id, attempt=self.attempt))
        else:
            with held.raw.plain() as cursor:
                cursor.execute(STATEMENTS["hold_attempt"].pyformat, values)
                current = cursor.fetchone() is not None
        if not current:
            raise StaleAttempt(f"attempt {self.attempt} of job {self.job_id} is over")
