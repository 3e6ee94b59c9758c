"""Rows first, then messages: how jobs and runs come into being."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Unpack
from uuid import UUID

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.dispatch.bulk import insert_many, sending_many
from headrace.engine.dispatch.rows import add_jobs, run_row
from headrace.engine.dispatch.stored_plans import keep_plans
from headrace.engine.gating.concurrency import admit_runs, lock_groups
from headrace.engine.gating.first_steps import decide_roots
from headrace.engine.gating.gate import message_for, recount
from headrace.engine.gating.pools import assign_slots
from headrace.errors import (
    HeadraceError,
    InvalidPayload,
    NotFound,
    QueueUnavailable,
    StoreUnavailable,
    TooManyRuns,
)
from headrace.jobapi.dispatch_options import DispatchOptions
from headrace.model import exact_json
from headrace.model.ids import new_id
from headrace.model.job_parameters import stored
from headrace.model.plan import Plan
from headrace.model.status import FINAL, Trigger
from headrace.observe.redaction import NOT_AUTHORED, names_any
from headrace.plan.retry_policy import policy_from, policy_to_row, seconds
from headrace.queue.message import Message
from headrace.queue.sender import Sender
from headrace.store import queries
from headrace.store.caller_session import on_commit, transaction_of
from headrace.store.database import Database, Transaction
from headrace.store.row_types import JobRow, KeyedRun, NewRun

log = logging.getLogger("headrace.engine")


class Dispatcher:
    """Dispatches jobs and runs. Safe to share by threads."""

    def __init__(
        self, settings: Settings, database: Database, sender: Sender, registry: Registry
    ) -> None:
        self._settings = settings
        self._database = database
        self._sender = sender
        self._registry = registry

    # -- single jobs ------------------------------------------------------------------

    def dispatch(
        self, job_class: str, payload: Mapping[str, Any], **options: Unpack[DispatchOptions]
    ) -> str:
        """Dispatch one job; returns its id. Raises what `dispatch_row` does."""
        if options.get("session") is not None or options.get("depends_on"):
            return str(self.dispatch_row(job_class, payload, **options)["id"])
        values = self._values(job_class, payload, options)
        if not self._database.prepared("insert_job_id", **values):
            return str(_first_dispatch(self._database, values)["id"])
        self._soon(sending_many(self._sender, values, [values["id"]]))
        return str(values["id"])

    def dispatch_row(
        self, job_class: str, payload: Mapping[str, Any], **options: Unpack[DispatchOptions]
    ) -> JobRow:
        """Dispatch one job and return its row; with a `session`, its message follows the commit.

        Raises:
            UnknownJobClass, InvalidPayload: The job cannot be dispatched like this.
            NotFound: `depends_on` names a job that does not exist.
            StoreUnavailable: PostgreSQL does not answer; nothing was dispatched.
        """
        values = self._values(job_class, payload, options)
        session, depends_on = options.get("session"), _ids(options.get("depends_on"))
        if session is not None:
            row = self._insert(transaction_of(session), values, depends_on)
            on_commit(session, lambda: self.send_soon(_queued([row])))
            return row
        if depends_on:
            with self._database.transaction() as tx:
                row = self._insert(tx, values, depends_on)
        else:
            row = self._insert_root(self._database, values)
        self.send_soon(_queued([row]))
        return row

    def dispatch_many(
        self,
        job_class: str,
        payloads: Iterable[Mapping[str, Any]],
        *,
        queue: str | None = None,
        retry: Any = None,
        timeout: Any = None,
    ) -> list[str]:
        """Dispatch many jobs of one class in one transaction; returns their ids.

        Raises:
            UnknownJobClass, InvalidPayload: One of them cannot be dispatched; none was.
        """
        shared = self._shared(job_class, {"queue": queue, "retry": retry, "timeout": timeout})
        given = [dict(payload) for payload in payloads]
        for payload in given:
            self._check(job_class, payload)
        ids = insert_many(self._database, shared, given)
        self._soon(sending_many(self._sender, shared, ids))
        return ids

    # -- runs -------------------------------------------------------------------------

    def start_run(
        self, plan: Plan, trigger: Trigger, *, idempotency_key: str | None = None
    ) -> NewRun:
        """Insert a run and its jobs, send the first ones; returns the run's row.

        A second one of the pipeline under one `idempotency_key` starts nothing and returns the
        first one's row.

        Raises:
            TooManyRuns: The pipeline's `concurrency` has it fail.
            StoreUnavailable: PostgreSQL does not answer; nothing was started.
        """
        self._sender.prepare()
        with self._database.transaction() as tx:
            known = {"pipeline": plan.pipeline, "idempotency_key": idempotency_key}
            if idempotency_key is not None:
                tx.rows("lock_run_key", **known)
                if first := tx.row(queries.RUN_BY_KEY, **known):
                    return first
            rows, messages = self.insert_runs(tx, [(plan, trigger)])
            if not rows:
                raise HeadraceError(
                    f"the run of {plan.pipeline} for {plan.logical_date.isoformat()} already exists"
                )
            if rows[0]["status"] == "failed" and rows[0]["error"]:
                # Nobody has to look for a failed run: whoever wants one is here to be told.
                raise TooManyRuns(f"no run of {plan.pipeline} was started: {rows[0]['error']}")
            if idempotency_key is not None:
                tx.rows("keep_run_key", id=rows[0]["id"], idempotency_key=idempotency_key)
                keyed: KeyedRun = {**rows[0], "idempotency_key": idempotency_key}
                rows = [keyed]
        self.send_soon(messages + self.assign_slots_for([plan]))
        return rows[0]

    def insert_runs(
        self,
        tx: Transaction,
        due: Sequence[tuple[Plan, Trigger]],
        *,
        term: int | None = None,
        ids: Sequence[UUID] | None = None,
    ) -> tuple[list[NewRun], list[Message]]:
        """Insert runs and all their jobs in a few statements; messages are sent by the caller.

        Runs that exist already for their instant are left out, and all of them where `term`
        is no longer the leader's. `ids` are those of the runs, new ones by default.
        """
        run_ids = map(str, ids or [new_id() for _ in due])
        plans = dict(zip(run_ids, due, strict=True))
        rules = {run_id: plan.concurrency for run_id, (plan, _trigger) in plans.items()}
        # Before any row is written: see `lock_groups`.
        groups = lock_groups(tx, rules)
        kept = keep_plans(tx, {run_id: plan for run_id, (plan, _trigger) in plans.items()})
        runs = [run_row(run_id, *planned, kept[run_id]) for run_id, planned in plans.items()]
        inserted = tx.rows(queries.INSERT_RUNS, runs=exact_json.dumps(runs, default=str), term=term)
        inserted, messages = admit_runs(tx, inserted, rules, groups)
        jobs: list[dict[str, Any]] = []
        edges: list[dict[str, str]] = []
        for row in inserted:
            if row["status"] in ("running", "queued"):
                add_jobs(plans[str(row["id"])][0], row, jobs, edges)
        if jobs:
            tx.rows("insert_jobs", jobs=exact_json.dumps(jobs, default=str))
        if edges:
            tx.rows("insert_edges", edges=json.dumps(edges))
        messages += [
            Message(UUID(job["id"]), 0, job["queue"], job["timeout_s"])
            for job in jobs
            if job["deps_left"] == 0 and not job["held"]
        ]
        return inserted, messages + decide_roots(tx, inserted, jobs)

    def assign_slots_for(self, plans: Iterable[Plan]) -> list[Message]:
        """Return messages of first steps that take slots, once their rows are committed."""
        if any(job.slots is not None for plan in plans for job in plan.jobs):
            return assign_slots(self._database)
        return []

    def send_soon(self, messages: Sequence[Message]) -> None:
        """Send messages after their rows are committed.

        Redis being away, full or read-only is no failure of the dispatch: the rows are there, and
        the daemon's sweep sends what was not sent.
        """
        if messages:
            self._soon(lambda: self._sender.send(messages))

    # -- inside -----------------------------------------------------------------------

    @cached_property
    def _default_retry(self) -> str:
        return self._retry_json(None)

    def _retry_json(self, retry: Any) -> str:
        return json.dumps(policy_to_row(policy_from(retry, self._settings.retry)))

    def _soon(self, send: Callable[[], None]) -> None:
        try:
            send()
        except (QueueUnavailable, StoreUnavailable) as error:
            log.debug("%s; the daemon's sweep will send the missing messages", error)

    def _values(
        self, job_class: str, payload: Mapping[str, Any], options: DispatchOptions
    ) -> dict[str, Any]:
        shared = self._shared(job_class, options)
        self._check(job_class, payload)
        return {
            **shared,
            "id": str(new_id()),
            "payload": exact_json.dumps(dict(payload), default=stored),
            "idempotency_key": options.get("idempotency_key"),
        }

    def _shared(self, job_class: str, options: DispatchOptions) -> dict[str, Any]:
        """Return what jobs have in common that are dispatched with the same options."""
        queue, retry, timeout = (options.get(key) for key in ("queue", "retry", "timeout"))
        self._sender.prepare()
        if queue is not None and queue not in self._settings.queues:
            raise InvalidPayload(
                f'no worker listens on the queue "{queue}"; the queues are '
                + ", ".join(self._settings.queues)
            )
        return {
            "job_class": job_class,
            "queue": queue or self._settings.default_queue,
            "timeout_s": self._settings.timeout_s if timeout is None else seconds(timeout),
            "retry": self._default_retry if retry is None else self._retry_json(retry),
        }

    def _check(self, job_class: str, payload: Mapping[str, Any]) -> None:
        self._registry.arguments(job_class, payload)  # Raises where they do not fit.
        for key in self._registry.referring(job_class):
            if names_any(payload.get(key)):
                raise InvalidPayload(f"{key}: {NOT_AUTHORED}")

    def _insert_root(self, tx: Transaction, values: Mapping[str, Any]) -> JobRow:
        row = tx.row(queries.INSERT_JOB, **values)
        return row or _first_dispatch(tx, values)

    def _insert(
        self, tx: Transaction, values: Mapping[str, Any], depends_on: Sequence[UUID]
    ) -> JobRow:
        if not depends_on:
            return self._insert_root(tx, values)
        upstream = tx.rows("lock_upstream", ids=list(depends_on))
        there = {str(row["id"]) for row in upstream}
        lost = [str(job_id) for job_id in depends_on if str(job_id) not in there]
        if lost:
            raise NotFound(f"depends_on names the job {lost[0]}, which does not exist")
        row = tx.row(queries.INSERT_DEPENDENT_JOB, **values, deps_left=len(upstream))
        if row is None:
            return _first_dispatch(tx, values)
        tx.rows("insert_dependencies", id=row["id"], upstream=[one["id"] for one in upstream])
        tx.rows("note_dependant", ids=[one["id"] for one in upstream])
        if any(one["status"] in FINAL for one in upstream):
            recount(tx, [row["id"]])
            row = tx.row(queries.JOB, id=row["id"])
            assert row is not None
        return row


def _ids(depends_on: str | Sequence[str] | None) -> list[UUID]:
    given = [depends_on] if isinstance(depends_on, str) else depends_on or ()
    try:
        return list(dict.fromkeys(UUID(str(job_id)) for job_id in given))
    except ValueError as error:
        raise InvalidPayload(f"depends_on takes job ids: {error}") from None


def _first_dispatch(tx: Transaction, values: Mapping[str, Any]) -> JobRow:
    row = tx.row(queries.JOB_BY_KEY, idempotency_key=values["idempotency_key"])
    assert row is not None
    return row


def _queued(rows: Iterable[JobRow]) -> list[Message]:
    return [message_for(row) for row in rows if row["status"] == "queued" and row["attempt"] == 0]
