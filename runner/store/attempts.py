"""A worker child's connection to the control database: claims, effects and completions.

One connection for all of it, so that an attempt's effect and its completion are one transaction.
The hot statements are prepared; no ORM stands on this path.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from headrace.errors import StaleAttempt, StoreUnavailable, TransactionEnded
from headrace.store.attempt_mark import NO_MARK
from headrace.store.attempt_statements import (
    BATCH,
    CLAIM,
    CLAIM_SEVERAL,
    FINISH_RUN,
    LOG_OF_BATCH,
    PREPARED,
    with_log,
)
from headrace.store.connection import ChildConnection
from headrace.store.database import Row
from headrace.store.log_lines import LogLines
from headrace.store.migrations import LATEST
from headrace.store.row_types import EndedRun
from headrace.store.statements import STATEMENTS

# What this version knows of what jobs may ask for: see `needs` in 0014_installation.sql.
CAN = int(LATEST)


class Claimed(NamedTuple):
    """A claimed attempt, as its row says; `retry` is JSON, which few attempts come to need."""

    id: UUID
    job_class: str
    payload: dict[str, Any]
    queue: str
    attempt: int
    retry_count: int
    timeout_s: float
    retry: str
    run_id: UUID | None
    pipeline: str | None
    step: str | None
    dependents: int
    late: bool
    folder: str
    logical_date: datetime | None
    pool: str | None
    pool_slots: int | None
    env: dict[str, str] | None
    timezone: str | None = None
    # The only dependant, if it was asked for: its id, and the number of its last attempt.
    below: tuple[str, int] | None = None

    @classmethod
    def of(cls, row: Row) -> "Claimed":
        """Return what the columns of `claimed_columns_part` say; others may stand beside them."""
        return cls._make((*_fields_of(row), row.get("below")))

    @property
    def due(self) -> datetime | None:
        """The logical date on its schedule's clock."""
        date = self.logical_date
        return None if date is None else date.astimezone(ZoneInfo(self.timezone or "UTC"))


_fields_of = itemgetter(*Claimed._fields[:-1])


@dataclass(frozen=True, slots=True)
class Completed:
    """Result of a completion. `released` holds (id, attempt, queue, timeout in s)."""

    run_id: UUID | None
    dependents: int
    released: Sequence[tuple[str, int, str, float]] = ()
    undecided: Sequence[str] = ()
    recount: bool = False


@dataclass(frozen=True, slots=True)
class CompletedBatch:
    """Result of the completions of a batch; see `Completed`. `ids` are those completed."""

    ids: frozenset[UUID]
    released: Sequence[tuple[str, int, str, float]] = ()
    undecided: Sequence[str] = ()
    recount: bool = False


class AttemptStore(ChildConnection):
    """The connection of one child, with the statements of an attempt."""

    def __init__(self, database_url: str, worker: str) -> None:
        super().__init__(database_url, worker, PREPARED)

    def claim(self, job_id: str, attempt: int) -> Claimed | None:
        """Claim a job; None where it is not to be had any more."""
        return self._claimed(CLAIM, job_id, attempt)

    def _claimed(self, sql: str, job_id: str, attempt: int) -> Claimed | None:
        values = {"id": job_id, "attempt": attempt, "worker": self.worker, "can": CAN}
        rows = self._run(sql, values)
        return Claimed.of(rows[0]) if rows else None

    def claim_released(self, job_id: str, attempt: int) -> Claimed | None:
        """Claim a job that was released just before, in the open transaction where there is one."""
        idle = self.raw.info.transaction_status == TRANSACTION_STATUS_IDLE
        # The commit of one that holds more waits for the disk.
        sql = CLAIM if idle else STATEMENTS["claim_attempt"].execute
        return self._claimed(sql, job_id, attempt)

    def claim_several(
        self, following: Sequence[tuple[str, int]], short: Sequence[str]
    ) -> list[Claimed]:
        """Claim jobs (id, the message's number), all but the first only of a class in `short`."""
        rows = self._run(CLAIM_SEVERAL, {**_next(following, short), "worker": self.worker})
        return [Claimed.of(row) for row in rows]

    def complete(
        self,
        claimed: Claimed,
        result: str | None,
        log: LogLines | None = None,
        *,
        xact: str | None = None,
    ) -> Completed:
        """Complete an attempt, in the open transaction where there is one.

        `log` are lines for `add_log_lines`, in the same round trip and transaction. `xact` is
        the number of the transaction that holds the job's effect.

        Raises:
            StaleAttempt: The attempt is no longer the caller's.
            TransactionEnded: The transaction is another one: the job has ended its own.
            StoreUnavailable: The connection broke since the claim, and the effect with it.
        """
        self.same_line()
        values = {"id": claimed.id, "attempt": claimed.attempt, "result": result, "xact": xact}
        name = "complete_attempt" if claimed.dependents else "complete_alone"
        rows = self._ended(name, values, log)
        if not rows:
            raise self._why_not(claimed, xact)
        return _completed(rows[0])

    def completing(
        self, claimed: Claimed, result: str | None, log: LogLines | None, xact: str
    ) -> str:
        """Return the commands that complete an attempt that releases no dependant, or fail.

        For `JobSessions.commit_control`; the parameters are those of `complete`, and so are the
        errors, but that the commands fail where that raises StaleAttempt or TransactionEnded.
        """
        values = {"id": claimed.id, "attempt": claimed.attempt, "result": result, "xact": xact}
        name = "complete_below_or_refuse" if claimed.dependents else "complete_or_refuse"
        return self.written(STATEMENTS[name].execute, values, log)

    def written(self, sql: str, values: dict[str, Any], log: LogLines | None = None) -> str:
        """Return commands with their values, over the connection of the claim; see `complete`."""
        self.same_line()
        sql = with_log(sql, values, log)
        with self.raw.plain() as cursor:
            written: bytes = cursor.mogrify(sql, values)
        return written.decode()

    def complete_and_claim(
        self,
        claimed: Claimed,
        result: str | None,
        next_id: str,
        next_attempt: int,
        log: LogLines | None = None,
        *,
        xact: str | None = None,
    ) -> tuple[Completed | None, Claimed | None]:
        """Complete one attempt and claim the next job in one commit; each may come to nothing.

        `log` and `xact` are as in `complete`; where the job's effect is in the open transaction,
        so is the claim.

        Raises:
            StaleAttempt, TransactionEnded: As in `complete`, where `xact` is given.
            StoreUnavailable: The connection broke since the claim.
        """
        self.same_line()
        values = {
            "id": claimed.id,
            "attempt": claimed.attempt,
            "result": result,
            "xact": xact,
            "worker": self.worker,
            "can": CAN,
            "next_id": next_id,
            "next_attempt": next_attempt,
        }
        name = "complete_and_claim" if claimed.dependents else "complete_alone_and_claim"
        (row,) = self._ended(name, values, log)
        completed = _completed(row) if row["ended_id"] is not None else None
        if completed is None and xact is not None:
            raise self._why_not(claimed, xact)
        return completed, Claimed.of(row) if row["id"] is not None else None

    def complete_batch(
        self,
        ended: Sequence[tuple[Claimed, str | None]],
        following: Sequence[tuple[str, int]],
        short: Sequence[str],
        said: str | None = None,
    ) -> tuple[CompletedBatch, list[Claimed]]:
        """Complete several attempts, each with its result, and claim further jobs, in one commit.

        Of `following` (job id, the message's number) all but the first are claimed only where
        their class is one of `short`. Each completion and each claim may come to nothing. `said`
        are log lines for `add_lines_of_batch`.

        Raises:
            StoreUnavailable: The connection broke since the claims.
        """
        self.same_line()
        values = {
            "ids": array(claimed.id for claimed, _ in ended),
            "attempts": array(claimed.attempt for claimed, _ in ended),
            "results": [result for _, result in ended],
            "worker": self.worker,
            "said": said,
            **_next(following, short),
        }
        rows = self._run(BATCH if said is None else LOG_OF_BATCH + BATCH, values)
        freed = rows[0]
        completed = CompletedBatch(
            frozenset(map(UUID, freed["ids"] or ())),
            freed["released"] or (),
            freed["undecided"] or (),
            bool(freed["recount"]),
        )
        return completed, [Claimed.of(row) for row in rows if row["place"] is not None]

    def finish_run(self, run_id: UUID) -> list[EndedRun]:
        """Close a run whose last job has ended. Lost in a crash it is made up for by the sweep.

        Returns what `finish_run` does.
        """
        # The columns are those of `finish_run`.
        return cast("list[EndedRun]", self._run(FINISH_RUN, {"ids": [run_id]}))

    def _why_not(self, claimed: Claimed, xact: str | None) -> StaleAttempt | TransactionEnded:
        if xact is not None and self.row("number_of_transaction") != {"number": xact}:
            return TransactionEnded()
        return StaleAttempt(f"attempt {claimed.attempt} of job {claimed.id} is over")

    def _ended(self, name: str, values: dict[str, Any], log: LogLines | None) -> list[Row]:
        sql = STATEMENTS[name].execute
        sql = with_log(sql, values, log)
        try:
            return self._run(sql, values)
        except NO_MARK as error:
            raise TransactionEnded from error

    def same_line(self) -> None:
        """Refuse to complete over another connection than the one that the job was claimed over.

        A new connection would not have the effect in its transaction, even where the job has
        swallowed the error that told of the break. Nor may it trust the attempt's number: a
        server that crashed may have lost the claim, and have given the number out again.
        """
        if self.lost:
            raise StoreUnavailable("the connection to the control database was lost")


def _completed(row: Row) -> Completed:
    return Completed(
        row["ended_run"],
        row["ended_dependents"],
        row["released"] or (),
        row["undecided"] or (),
        row["recount"],
    )


def _next(following: Sequence[tuple[str, int]], short: Sequence[str]) -> dict[str, Any]:
    return {
        "next_ids": array(job_id for job_id, _ in following),
        "next_attempts": array(number for _, number in following),
        "short": list(short),
        "can": CAN,
    }


def array(values: Iterable[object]) -> str:
    """Return ids or numbers as PostgreSQL writes an array: a list of texts would be one of text."""
    return "{" + ",".join(map(str, values)) + "}"
