"""Ends runs, and starts the next run of a concurrency group."""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol
from uuid import UUID

from headrace.engine.gating.ended_totals import count_before_reopening
from headrace.engine.gating.gate import decide, message_for, recount, update_dependants
from headrace.model.ids import new_id
from headrace.queue.message import Message
from headrace.store import queries
from headrace.store.database import Row, Transaction
from headrace.store.row_types import CancelledJob, EndedRun, RunRow


class Store(Transaction, Protocol):
    """Runs statements by themselves or, in a block, as one transaction."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a transaction."""
        ...


class Within(Transaction):
    """A transaction that is open already, as a `Store`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def run_named(self, statement: str, values: dict[str, Any]) -> list[Row]:
        """See `Transaction`."""
        return self._tx.run_named(statement, values)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """See `Store`."""
        return nullcontext(self._tx)


def finish_runs(store: Store, runs: Iterable[UUID]) -> tuple[list[EndedRun], list[Message]]:
    """Finish those of these runs of which nothing is left, and let the next ones run.

    To be called after the commit of a run's last job: two jobs that end together each look
    after their own commit, so that the later one sees both. Returns the finished runs and the
    messages of what was released. What a crash leaves undone is made up for by the sweep.
    """
    runs = list(runs)
    return after_finish(store, store.rows(queries.FINISH_RUN, ids=runs)) if runs else ([], [])


def after_finish(store: Store, rows: Sequence[EndedRun]) -> tuple[list[EndedRun], list[Message]]:
    """Do what is left to do after `finish_run` has returned these rows; see `finish_runs`."""
    finished: list[EndedRun] = []
    messages: list[Message] = []
    while rows:
        started: list[UUID] = []
        for row in rows:
            if row["status"] == "running":
                opened, sent = _open_handlers(store, row["id"])
                started += opened
                messages += sent
        rows = [row for row in rows if row["status"] != "running"]
        finished += rows
        messages += wake_parents(store, (row["id"] for row in rows if row["parent_job"]))
        groups = {row["concurrency_group"] for row in rows if row["concurrency_group"]}
        for group in sorted(groups):
            released, sent = _release(store, group)
            started += released
            messages += sent
        # Nothing may be left of them: all that was released is skipped.
        rows = store.rows(queries.FINISH_RUN, ids=started) if started else []
    return finished, messages


def release(store: Store, groups: Iterable[str]) -> list[Message]:
    """Let queued runs of these groups run, as many as fit; returns messages to send."""
    messages: list[Message] = []
    for group in sorted(groups):
        started, sent = _release(store, group)
        messages += sent + finish_runs(store, started)[1]
    return messages


def wake_parents(store: Store, runs: Iterable[UUID]) -> list[Message]:
    """Queue the jobs that wait for these runs, of which any may have ended.

    Returns messages to send.
    """
    runs = list(runs)
    return [message_for(row) for row in store.rows(queries.WAKE_PARENTS, runs=runs)] if runs else []


def cancel_run(
    tx: Transaction, run_id: UUID, error: str | None = None
) -> tuple[list[RunRow], list[Message]]:
    """Cancel a run with all of its jobs that are not final, and the runs that these have started.

    Returns the runs' rows, its own first, and messages to send; no row: it has ended already. A
    run that is still `running` has `finally` handlers to run first: see `after_finish`.
    """
    row = tx.row(queries.CANCEL_RUN, id=run_id, error=error)
    if row is None:
        return [], []
    ended: list[CancelledJob] = []
    # Once more: a foreach may have made its jobs while its own row was waited for.
    keep_finally = row["status"] == "running"
    while cancelled := tx.rows(
        queries.CANCEL_JOBS, ids=[], run_id=run_id, keep_finally=keep_finally
    ):
        ended += cancelled
    # Jobs outside the run may wait for one inside it.
    messages = update_dependants(tx, [job["id"] for job in ended if job["dependents"]])
    below, sent = cancel_children(tx, ended)
    return [row, *below], messages + sent


def cancel_children(
    tx: Transaction, jobs: Iterable[CancelledJob]
) -> tuple[list[RunRow], list[Message]]:
    """Cancel the runs that these jobs, rows of `cancel_jobs`, have started; see `cancel_run`."""
    cancelled: list[RunRow] = []
    messages: list[Message] = []
    for job in jobs:
        if job["child_run"] is not None:
            rows, sent = cancel_run(tx, job["child_run"], "the step that ran it was cancelled")
            cancelled += rows
            messages += sent
    return cancelled, messages


def _open_handlers(store: Store, run: UUID) -> tuple[list[UUID], list[Message]]:
    """Let the handlers run whose turn it is. Returns the run if it has to be looked at again."""
    with store.transaction() as tx:
        if tx.row("lock_run", id=run) is None:
            return [], []
        opened = tx.rows(queries.OPEN_HANDLERS, id=run)
        messages = [message_for(row) for row in opened if row["status"] == "queued"]
        conditional = [row["id"] for row in opened if row["status"] == "waiting"]
        decided: set[UUID] = set()
        if conditional:
            released, decided = decide(tx, conditional)
            messages += released
    skipped = any(row["status"] == "skipped" for row in opened)
    return [run] if skipped or decided else [], messages


def _release(store: Store, group: str) -> tuple[list[UUID], list[Message]]:
    with store.transaction() as tx:
        tx.rows("lock_groups", groups=[group])
        started = [row["id"] for row in tx.rows(queries.RELEASE_RUNS, groups=[group])]
        roots = tx.rows(queries.RELEASE_ROOTS, runs=started) if started else []
        messages = [message_for(row) for row in roots if row["status"] == "queued"]
        conditional = [row["id"] for row in roots if row["status"] == "waiting"]
        if conditional:
            messages += decide(tx, conditional)[0]
    return started, messages


def reopen(tx: Transaction, ids: Sequence[Any]) -> tuple[list[Message], list[UUID]]:
    """Let jobs and what was skipped below them wait again, and release those that can run.

    Returns messages to send, and the runs: nothing but handlers may have been reopened.
    """
    below = [row["id"] for row in tx.rows("skipped_below", ids=list(ids))]
    ended = [*ids, *below]
    count_before_reopening(tx, ended, [row["run_id"] for row in tx.rows("runs_of_jobs", ids=ended)])
    opened = tx.rows(queries.REOPEN_JOBS, ids=ended)
    opened_ids = [row["id"] for row in opened]
    # Of several failed jobs above it only some may be retried: what waits for the others
    # as well is skipped again.
    messages = recount(tx, opened_ids)
    runs = list({row["run_id"] for row in opened if row["run_id"]})
    if runs:
        tx.rows("reopen_runs", ids=runs)
        completed = tx.rows("completed_handlers", runs=runs)
        copies = [{"of": str(row["id"]), "id": str(new_id())} for row in completed]
        tx.rows("reopen_handlers", runs=runs, copies=json.dumps(copies))
        tx.rows("retire_items", runs=runs)
    return messages, runs
