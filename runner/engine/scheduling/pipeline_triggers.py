"""Starting runs that wait for runs of other pipelines, each once, whatever is killed."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.dispatch.dispatcher import Dispatcher
from headrace.engine.planning.planner import Planner
from headrace.engine.scheduling.one_by_one import start_due
from headrace.engine.scheduling.trigger_params import given_params, statuses_of
from headrace.engine.scheduling.trigger_results import TriggerResult, log_results, note
from headrace.engine.scheduling.unmade_runs import reason_of, unmade_run
from headrace.errors import HeadraceError, LeadershipLost
from headrace.model.ids import new_id
from headrace.model.pipeline import PipelineTrigger
from headrace.model.status import Trigger
from headrace.plan.trigger_matching import Ended, Matched, Start, known, match
from headrace.queue.message import Message
from headrace.store import queries
from headrace.store.crash_points import crash_point
from headrace.store.database import Database, Transaction
from headrace.store.row_types import NewRun, UpstreamRun

log = logging.getLogger("headrace.daemon")

# The most runs of one pipeline that one transaction starts; the next turn goes on at once.
_MOST_AT_ONCE = 200
# The most upstream runs of one pipeline that one transaction reads for each that waits.
_MOST_READ = 1000
# One that waits and one that is new: enough to see that there is something to decide.
_MOST_SEEN = 2
# How often what cannot count any more is left behind, so that looking stays cheap.
_ADVANCE_EVERY_S = 60.0


class PipelineTriggers:
    """Knows which pipelines wait for others, and starts their runs.

    `clock` gives seconds of a monotonic clock.
    """

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        pipelines: Pipelines,
        planner: Planner,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._pipelines = pipelines
        self._planner = planner
        self._clock = clock
        self._declared: dict[str, PipelineTrigger] = {}
        # What was there when each was decided about last, and is no reason to look again.
        self._waiting: dict[str, frozenset[tuple[UUID, datetime]]] = {}
        self._due: set[str] = set()
        self._next_advance = 0.0
        self._synced = False

    @property
    def declared(self) -> list[str]:
        """The pipelines that wait for others."""
        return list(self._declared)

    @property
    def behind(self) -> bool:
        """Return whether `tick` has something to do at once."""
        return bool(self._due)

    def refresh(self, term: int) -> None:
        """Take over what the files declare now: what is new counts from now on.

        Raises:
            StoreUnavailable: Tried again at the next tick.
            LeadershipLost: Another daemon may have done so.
        """
        self._synced = False
        declared = {
            name: pipeline.trigger
            for name, pipeline in self._pipelines.by_name.items()
            if pipeline.trigger is not None
        }
        wanted = {
            (name, upstream): statuses_of(trigger)
            for name, trigger in declared.items()
            for upstream in trigger.pipelines
        }
        with self._database.transaction() as tx:
            known = {(row["pipeline"], row["upstream"]) for row in tx.rows("triggers")}
            gone = [pair for pair in known - wanted.keys() if self._is_withdrawn(pair[0])]
            if wanted:
                tx.rows("sync_triggers", triggers=_pairs_json(wanted, wanted))
            if gone:
                tx.rows("forget_triggers", triggers=_pairs_json(gone, {}))
            _check_term(tx, term)
        self._declared = declared
        self._waiting = {}
        self._due = set()
        self._next_advance = 0.0
        self._synced = True

    def look(self, tx: Transaction) -> None:
        """See whether anything has ended that a pipeline waits for: one statement, or none."""
        if not self._declared:
            return
        found: dict[str, list[tuple[UUID, datetime]]] = {}
        for row in tx.rows("unused_upstream", pipelines=self.declared, most=_MOST_SEEN):
            found.setdefault(row["pipeline"], []).append((row["id"], row["finished_at"]))
        self._due.update(
            name for name, runs in found.items() if frozenset(runs) != self._waiting.get(name)
        )

    def tick(self, term: int) -> int:
        """Start what `look` has found to be due; returns how many runs were started.

        Raises:
            StoreUnavailable: What was not started is tried again at the next tick.
            LeadershipLost: What is due is the next leader's.
        """
        if not self._synced:
            self.refresh(term)
        if self._declared and self._clock() >= self._next_advance:
            self._due = set(self._declared)
        due = sorted(self._due & self._declared.keys())
        if not due:
            return 0
        all_of_them = len(due) == len(self._declared)
        started = sum(start_due(due, partial(self._start, term)))
        if all_of_them:
            self._next_advance = self._clock() + _ADVANCE_EVERY_S
        return started

    # -- inside -----------------------------------------------------------------------

    def _start(self, term: int, due: Sequence[str], failed: Exception | None) -> int:
        """Start the runs of some pipelines in one transaction; none of them if they `failed`."""
        with self._database.transaction() as tx:
            results, visible_until = self._results(tx, due, failed)
            ids = {run_id: plan for one in results for run_id, plan in one.plans.items()}
            runs: list[NewRun] = []
            messages: list[Message] = []
            if ids:
                due_runs = [(plan, Trigger.PIPELINE) for plan in ids.values()]
                runs, messages = self._dispatcher.insert_runs(
                    tx, due_runs, term=term, ids=list(ids)
                )
                if len(runs) < len(ids):
                    raise LeadershipLost(f"term {term} is over")
            note(tx, results, visible_until)
            _check_term(tx, term)
            crash_point("dispatch-uncommitted")
        crash_point("dispatch-committed")
        self._waiting.update((one.pipeline, one.seen) for one in results)
        self._due = (self._due - set(due)) | {one.pipeline for one in results if one.more}
        messages += self._dispatcher.assign_slots_for(ids.values())
        self._dispatcher.send_soon(messages)
        log_results(runs, results)
        return len(runs)

    def _is_withdrawn(self, pipeline: str) -> bool:
        """Return whether a pipeline has this trigger no more: not while its file may be broken."""
        return pipeline in self._pipelines.by_name or not any(
            problem.severity == "error" for problem in self._pipelines.problems
        )

    def _results(
        self, tx: Transaction, due: Sequence[str], failed: Exception | None
    ) -> tuple[list[TriggerResult], datetime]:
        paused = {
            row["pipeline"] for row in tx.rows("lock_triggers", pipelines=due) if row["paused"]
        }
        # Before the runs are read: see the statement.
        moment = tx.row("visible_until")
        assert moment is not None
        found: dict[str, dict[UUID, UpstreamRun]] = {name: {} for name in due}
        for row in tx.rows(queries.UNUSED_UPSTREAM_RUNS, pipelines=due, most=_MOST_READ):
            found[row["waiting"]][row["id"]] = row
        results = [
            self._result_of(name, found[name], name in paused, moment["visible_until"], failed)
            for name in due
        ]
        return results, moment["visible_until"]

    def _result_of(
        self,
        name: str,
        rows: Mapping[UUID, UpstreamRun],
        paused: bool,
        visible_until: datetime,
        failed: Exception | None,
    ) -> TriggerResult:
        trigger = self._declared[name]
        ended, until = known(
            (
                Ended(row["finished_at"], run, row["pipeline"])
                for run, row in rows.items()
                if row["pipeline"] in trigger.pipelines
            ),
            _MOST_READ,
        )
        matched = match(
            trigger.pipelines, trigger.window_s, ended, until or visible_until, _MOST_AT_ONCE
        )
        more = until is not None or _left(matched) < len(ended)
        result = TriggerResult(name, matched.waiting, more)
        result.use(matched.superseded, "superseded")
        result.use(matched.expired, "expired")
        for start in matched.starts:
            if paused:
                result.use(start.runs, "paused")
                result.passed += 1
            else:
                self._plan(result, start, rows, failed)
        return result

    def _plan(
        self,
        result: TriggerResult,
        start: Start,
        rows: Mapping[UUID, UpstreamRun],
        failed: Exception | None,
    ) -> None:
        """Plan one run. Where it cannot start, nobody would succeed later either."""
        pipeline = self._pipelines.by_name.get(result.pipeline)
        if pipeline is None:
            return
        upstream = {one.pipeline: rows[one.run] for one in start.runs}
        last = rows[start.last.run]
        try:
            if failed is not None:
                raise failed
            plan = self._planner.plan(
                pipeline,
                given_params(pipeline, upstream, last),
                last["logical_date"],
                Trigger.PIPELINE,
                timezone=last["timezone"],
            )
        except Exception as error:
            if not isinstance(error, HeadraceError | ValueError | OverflowError):
                log.exception("no run of %s can be planned", result.pipeline)
            result.use(start.runs, "failed", error=reason_of(error))
            instant = last["logical_date"]
            result.unmade.append(unmade_run(pipeline, instant, Trigger.PIPELINE, error))
            return
        run_id = new_id()
        result.plans[run_id] = plan
        result.use(start.runs, "started", run_id)


def _left(matched: Matched) -> int:
    """Return how many runs were decided about."""
    return (
        sum(len(start.runs) for start in matched.starts)
        + len(matched.superseded)
        + len(matched.expired)
        + len(matched.waiting)
    )


def _check_term(tx: Transaction, term: int) -> None:
    # Paused since the lease was taken: another daemon may lead, and nothing may be written.
    if not tx.row("holds_term", term=term):
        raise LeadershipLost(f"term {term} is over")


def _pairs_json(
    pairs: Iterable[tuple[str, str]], statuses: Mapping[tuple[str, str], list[str]]
) -> str:
    return json.dumps(
        [
            {"pipeline": pair[0], "upstream": pair[1], "statuses": statuses.get(pair, [])}
            for pair in pairs
        ]
    )
