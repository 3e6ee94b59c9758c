"""Steps that run a pipeline: their runs are started by the leading daemon.

Past the gate the job of such a step goes on waiting, `wanted`, and holds no worker. Its run is
inserted in the transaction that marks the job `begun`, under the lock of the job's row: one run
a start, whatever number of daemons are up. The end of the run queues the job (`wake_parents`),
and a worker reads from the run how the step has ended.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.dispatch.dispatcher import Dispatcher
from headrace.engine.gating.concurrency import lock_groups
from headrace.engine.gating.gate import update_dependants_of_failed
from headrace.engine.gating.run_completion import Within, finish_runs, reopen, wake_parents
from headrace.engine.planning.deferred_templates import late_variables
from headrace.engine.planning.planner import Planner
from headrace.engine.scheduling.one_by_one import start_due
from headrace.engine.scheduling.unmade_runs import reason_of
from headrace.errors import HeadraceError, LeadershipLost, StoreUnavailable
from headrace.model import exact_json
from headrace.model.plan import Plan
from headrace.model.status import Trigger
from headrace.model.subpipeline import pipeline_of
from headrace.plan.deferred_rendering import render_late
from headrace.queue.message import Message
from headrace.store import queries
from headrace.store.crash_points import crash_point
from headrace.store.database import Database, Transaction
from headrace.store.row_types import WantedChild
from headrace.template.values import render_value

log = logging.getLogger("headrace.daemon")

# What one tick starts at most: the lease is renewed between two ticks.
MOST_RUNS = 200
_MOST_JOBS = 20_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """A job with what its run would be, or why there can be none."""

    row: WantedChild
    plan: Plan | None = None
    error: str = ""

    def __str__(self) -> str:
        return f"{pipeline_of(self.row['job_class'])} for job {self.row['id']}"


def _refused(row: WantedChild, error: Exception) -> _Asked:
    name = pipeline_of(row["job_class"])
    return _Asked(row, error=f"no run of {name} was started: {reason_of(error)}")


@dataclass(slots=True)
class _Begun:
    """The work of one transaction that needs a follow-up after its commit."""

    begun: list[dict[str, str]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    # Runs that may have come to their end by it.
    touched: set[UUID] = field(default_factory=set)


class Subpipelines:
    """Starts the runs that steps ask for."""

    def __init__(
        self, database: Database, dispatcher: Dispatcher, pipelines: Pipelines, planner: Planner
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._pipelines = pipelines
        self._planner = planner

    def start(self, wanted: Sequence[WantedChild], term: int | None) -> list[Message]:
        """Start runs for rows of `wanted_children`; returns messages to send.

        What cannot be started fails its step. Without `term` the caller need not lead.

        Raises:
            StoreUnavailable, LeadershipLost: Nothing more was started; tried again.
            Exception: The database lacks a table or a right; so is this.
        """
        asked: list[_Asked] = []
        jobs = 0
        for row in wanted:
            asked.append(self._ask(row))
            jobs += len(asked[-1].plan.jobs) if asked[-1].plan else 0
            if jobs > _MOST_JOBS:
                break
        if not asked:
            return []
        begun = start_due(asked, partial(self._begin, term))
        return [message for messages in begun for message in messages]

    # -- the plan ---------------------------------------------------------------------

    def _ask(self, row: WantedChild) -> _Asked:
        try:
            return _Asked(row, self._plan(row))
        except StoreUnavailable:
            raise
        except (HeadraceError, ValueError) as error:
            return _refused(row, error)
        except Exception as error:
            # Whatever it is, the other steps and the daemon's repairs must go on.
            log.exception("no run can be planned for job %s", row["id"])
            return _refused(row, error)

    def _plan(self, row: WantedChild) -> Plan:
        name = pipeline_of(row["job_class"]) or ""
        if name in row["above"]:
            way = " runs ".join([*row["above"][row["above"].index(name) :], name])
            raise HeadraceError(f"it would run itself endlessly ({way})")
        if row["paused"]:
            raise HeadraceError(f"it is paused; `headrace resume {name}` lets it run again")
        given: Mapping[str, Any] = row["payload"]
        if row["late"]:
            variables, handler = late_variables(self._database, row["id"])
            given = render_late(
                row["job_class"], row["payload"], variables, render_value, handler=handler
            )
        plan = self._planner.plan(
            self._pipelines.get(name),
            given,
            row["logical_date"],
            Trigger.PIPELINE,
            timezone=row["timezone"],
        )
        return replace(plan, parent_job=str(row["id"]))

    # -- the rows ---------------------------------------------------------------------

    def _begin(
        self, term: int | None, asked: Sequence[_Asked], failed: Exception | None
    ) -> list[Message]:
        """Begin runs in one transaction; their steps fail if they `failed` to begin."""
        done = _Begun()
        if failed is not None:
            asked = [_refused(one.row, failed) for one in asked]
        with self._database.transaction() as tx:
            limits = {str(one.row["id"]): one.plan.concurrency for one in asked if one.plan}
            # Before any row is held: see `lock_groups`.
            lock_groups(tx, limits)
            held = tx.rows("lock_wanted_children", ids=[one.row["id"] for one in asked])
            earlier = {row["id"]: row["child_run"] for row in held}
            new: list[Plan] = []
            for one in asked:
                if one.row["id"] not in earlier:
                    continue
                if one.plan is None:
                    _fail(tx, one, done)
                elif not _resume(tx, one.plan, earlier[one.row["id"]], done):
                    new.append(one.plan)
            self._insert(tx, new, term, done)
            tx.rows("begin_children", begun=json.dumps(done.begun))
            # Some may have ended already: skipped by a limit, or with nothing to do.
            done.messages += wake_parents(Within(tx), [UUID(one["run"]) for one in done.begun])
            if term is not None and not tx.row("holds_term", term=term):
                raise LeadershipLost(f"term {term} is over")
            crash_point("child-uncommitted")
        crash_point("child-committed")
        done.messages += self._dispatcher.assign_slots_for(new)
        return done.messages + finish_runs(self._database, done.touched)[1]

    def _insert(
        self, tx: Transaction, plans: Sequence[Plan], term: int | None, done: _Begun
    ) -> None:
        if not plans:
            return
        due = [(plan, Trigger.PIPELINE) for plan in plans]
        rows, messages = self._dispatcher.insert_runs(tx, due, term=term)
        done.messages += messages
        for row in rows:
            done.begun.append({"job": str(row["parent_job"]), "run": str(row["id"])})
            log.info(
                "run %s of %s %s for job %s",
                row["id"],
                row["pipeline"],
                "started" if row["status"] == "running" else row["status"],
                row["parent_job"],
            )


def _fail(tx: Transaction, asked: _Asked, done: _Begun) -> None:
    rows = tx.rows(queries.FAIL_UNDECIDED, id=asked.row["id"], error=asked.error)
    done.messages += update_dependants_of_failed(tx, rows)
    done.touched |= {row["run_id"] for row in rows if row["run_id"] is not None}


def _resume(tx: Transaction, plan: Plan, earlier: UUID | None, done: _Begun) -> bool:
    """Go on with the run of an earlier start, where there is one with the same parameters.

    What has failed in it runs again, what has completed does not. False where a new run is due:
    there is none, it has nothing that could run again, or it was to do something else.
    """
    run = tx.row(queries.EARLIER_CHILD, id=earlier) if earlier is not None else None
    if run is None or run["status"] == "skipped" or run["params"] != _stored(plan.params):
        return False
    if run["status"] in ("failed", "cancelled"):
        failed = [row["id"] for row in tx.rows("failed_jobs_of_run", run_id=run["id"])]
        if not failed:
            return False
        messages, runs = reopen(tx, failed)
        done.messages += messages
        done.touched |= set(runs)
    done.begun.append({"job": str(plan.parent_job), "run": str(run["id"])})
    return True


def _stored(params: Mapping[str, Any]) -> Any:
    """Return parameters as a row has them."""
    return exact_json.loads(exact_json.dumps(dict(params), default=str))
