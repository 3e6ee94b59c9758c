"""Manual interventions on jobs and runs: cancel, retry, pause.

Each is one transaction whose statements name the status that they need, so that it is safe
against a worker that does something else at that very moment.
"""

from contextlib import suppress
from uuid import UUID

from headrace.engine.dispatch.dispatcher import Dispatcher
from headrace.engine.gating.gate import update_dependants
from headrace.engine.gating.run_completion import (
    after_finish,
    cancel_children,
    cancel_run,
    finish_runs,
    release,
    reopen,
)
from headrace.errors import IllegalTransition, NotFound
from headrace.errors.numbers import listed
from headrace.queue.message import Message
from headrace.store import queries
from headrace.store.database import Database, Row, Transaction
from headrace.store.row_types import JobRow, RunRow


class Interventions:
    """Manual intervention. Safe to share by threads."""

    def __init__(self, database: Database, dispatcher: Dispatcher) -> None:
        self._database = database
        self._dispatcher = dispatcher

    # -- cancel -----------------------------------------------------------------------

    def cancel_job(self, job_id: str) -> JobRow:
        """Cancel a job that is not final; returns its row.

        A running one can complete nothing from now on; its worker stops it, and its
        statement on the server, within about a second.

        Raises:
            NotFound, IllegalTransition: There is no such job, or it is final.
        """
        with self._database.transaction() as tx:
            row = self._job(tx, job_id)
            ended = tx.rows(queries.CANCEL_JOBS, ids=[row["id"]], run_id=None, keep_finally=False)
            if not ended:
                raise IllegalTransition(
                    f"job {job_id} is {self._job(tx, job_id)['status']}; only a job that has"
                    " not ended can be cancelled"
                )
            messages = update_dependants(tx, [row["id"]])
            below, sent = cancel_children(tx, ended)
        messages += sent + after_finish(self._database, below)[1]
        if row["run_id"]:
            messages += finish_runs(self._database, [row["run_id"]])[1]
        self._dispatcher.send_soon(messages)
        return self._job(self._database, job_id)

    def cancel_run(self, run_id: str) -> RunRow:
        """Cancel a run and all of its jobs that are not final; returns the run's row.

        It is still `running` where `finally` handlers have to run first. Cancelled once more, it
        ends at once.

        Raises:
            NotFound, IllegalTransition: There is no such run, or it has ended.
        """
        with self._database.transaction() as tx:
            run = self._run(tx, run_id)
            cancelled, messages = cancel_run(tx, run["id"])
            if not cancelled:
                raise IllegalTransition(f"run {run_id} is {run['status']}; it has ended already")
        messages += after_finish(self._database, cancelled)[1]
        self._dispatcher.send_soon(messages)
        return cancelled[0]

    # -- retry ------------------------------------------------------------------------

    def retry_job(self, job_id: str) -> JobRow:
        """Have a failed or cancelled job run again, and what was skipped because of it.

        Raises:
            NotFound, IllegalTransition: There is no such job, it did not fail, or handlers of its
                run are at work.
        """
        with self._database.transaction() as tx:
            row = self._job(tx, job_id)
            if row["status"] not in ("failed", "cancelled"):
                raise IllegalTransition(
                    f"job {job_id} is {row['status']}; only a failed or cancelled job can be"
                    " retried"
                )
            if row["run_id"] and (busy := _handlers_at_work(tx, [row["run_id"]])):
                raise _not_yet(f"job {job_id}: handlers of its run", busy)
            messages, runs = reopen(tx, [row["id"]])
        self._go_on(messages, runs)
        return self._job(self._database, job_id)

    def retry_run(self, run_id: str) -> RunRow:
        """Run a run's failed and cancelled steps again; returns the run's row.

        Plan and logical date stay those that the run had.

        Raises:
            NotFound, IllegalTransition: There is no such run, nothing in it failed, or its
                handlers are at work.
        """
        with self._database.transaction() as tx:
            run = self._run(tx, run_id)
            busy = _handlers_at_work(tx, [run["id"]])
            ids = [row["id"] for row in tx.rows("failed_jobs_of_run", run_id=run["id"])]
            if not ids:
                raise IllegalTransition(
                    f"run {run_id} is {run['status']}; it has no failed or cancelled step"
                )
            if busy:
                raise _not_yet(f"run {run_id}: its handlers", busy)
            messages, runs = reopen(tx, ids)
        self._go_on(messages, runs)
        return self._run(self._database, run_id)

    def retry_all_failed(self) -> tuple[list[str], list[str]]:
        """Retry every failed job; returns their ids.

        And the ids of those that are left: handlers of their runs are at work.
        """
        with self._database.transaction() as tx:
            runs = [row["run_id"] for row in tx.rows("runs_of_failed_jobs")]
            busy = {row["run_id"] for row in _handlers_at_work(tx, runs)}
            failed = tx.rows("failed_jobs", runs=runs)
            left = [row["id"] for row in failed if row["run_id"] in busy]
            ids = [row["id"] for row in failed if row["run_id"] not in busy]
            messages, runs = reopen(tx, ids) if ids else ([], [])
        self._go_on(messages, runs)
        return [str(job_id) for job_id in ids], [str(job_id) for job_id in left]

    # -- schedules --------------------------------------------------------------------

    def pause(self, pipeline: str, *, cancel_queued: bool = False) -> tuple[int, list[UUID]]:
        """Let no schedule or trigger of this pipeline start a run until it is resumed.

        Runs that are queued wait until then, or are cancelled. Returns how many there are, and
        the ids of those that were cancelled.
        """
        self._database.rows("pause_schedule", pipeline=pipeline)
        queued = self._database.rows("queued_runs_of", pipeline=pipeline)
        cancelled = []
        for row in queued if cancel_queued else ():
            # One that has just been started may have ended meanwhile.
            with suppress(IllegalTransition):
                self.cancel_run(str(row["id"]))
                cancelled.append(row["id"])
        return len(queued), cancelled

    def resume(self, pipeline: str) -> None:
        """Let it start runs again, queued ones first; what fell due is not made up for."""
        self._database.rows("resume_schedule", pipeline=pipeline)
        groups = self._database.rows(queries.GROUPS_WITH_QUEUED_RUNS)
        self._dispatcher.send_soon(release(self._database, [row["name"] for row in groups]))

    # -- inside -----------------------------------------------------------------------

    def _go_on(self, messages: list[Message], runs: list[UUID]) -> None:
        self._dispatcher.send_soon(messages + finish_runs(self._database, runs)[1])

    def _job(self, tx: Transaction, job_id: str) -> JobRow:
        row = tx.row(queries.JOB, id=_uuid(job_id, "job"))
        if row is None:
            raise NotFound(f"there is no job {job_id}")
        return row

    def _run(self, tx: Transaction, run_id: str) -> RunRow:
        row = tx.row(queries.RUN, id=_uuid(run_id, "run"))
        if row is None:
            raise NotFound(f"there is no run {run_id}")
        return row


def _handlers_at_work(tx: Transaction, runs: list[UUID]) -> list[Row]:
    """Return the handlers of these runs that are at work; none begins before `tx` ends.

    Beside a step that is retried a `finally` handler would clean up what the step has just made.
    """
    tx.rows("lock_runs", runs=runs)
    return tx.rows("handlers_at_work", runs=runs)


def _not_yet(what: str, busy: list[Row]) -> IllegalTransition:
    return IllegalTransition(
        f"{what} are at work ({listed([row['step'] for row in busy])}); retry when the run has"
        " ended, or cancel them first"
    )


def _uuid(text: str, noun: str) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        raise NotFound(f"there is no {noun} {text}") from None
