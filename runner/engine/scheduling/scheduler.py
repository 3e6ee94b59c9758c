"""Turning due instants into runs, each once, whatever number of daemons are up."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.dispatch.dispatcher import Dispatcher
from headrace.engine.planning.planner import Planner
from headrace.engine.scheduling.declared_since import TOLERANCE, declared, seen_until
from headrace.engine.scheduling.one_by_one import start_due
from headrace.engine.scheduling.schedule_starts import due_instants, next_start, offset_of
from headrace.engine.scheduling.unmade_runs import tell_of_unmade, unmade_run
from headrace.errors import HeadraceError, LeadershipLost
from headrace.model.buckets import BOUNDS_S
from headrace.model.pipeline import Pipeline, Schedule
from headrace.model.plan import Plan
from headrace.model.status import Trigger
from headrace.plan.due import catch_up
from headrace.queue.message import Message
from headrace.store import queries
from headrace.store.crash_points import crash_point
from headrace.store.database import Database, SqlTransaction
from headrace.store.row_types import LockedSchedule, NewRun

log = logging.getLogger("headrace.daemon")

# The most missed instants of one schedule that one tick looks at: with `catchup: all` the next
# tick goes on after them, otherwise older ones are passed over uncounted.
_MOST_AT_ONCE = 1000
_NONE_HOLDS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Progress:
    """The decision about one pipeline: its runs, and how far its schedule is processed."""

    pipeline: str
    plans: list[Plan]
    skipped: int
    seen_until: datetime
    upcoming: datetime | None
    # When the run of an instant was to start: later by the schedule's jitter.
    starts: Mapping[datetime, datetime] = field(default_factory=dict)
    unmade: list[dict[str, Any] | None] = field(default_factory=list)

    def entry(self) -> dict[str, object]:
        """Return the row for `advance_schedules`."""
        return {
            "pipeline": self.pipeline,
            "seen_until": self.seen_until.isoformat(),
            "next_instant": self.upcoming.isoformat() if self.upcoming else None,
            "skipped": self.skipped,
        }


class Scheduler:
    """Knows when each pipeline is due next, and starts its runs."""

    def __init__(
        self, database: Database, dispatcher: Dispatcher, pipelines: Pipelines, planner: Planner
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._pipelines = pipelines
        self._planner = planner
        self._next: dict[str, datetime] = {}
        # Each pipeline's last answer: what it was, after which moment, and its next start.
        self._starts: dict[str, tuple[Pipeline, datetime, datetime | None]] = {}
        self._synced = False
        self._looked_at: datetime | None = None

    def refresh(self, now: datetime) -> None:
        """Take over what the files declare now. `now` is PostgreSQL's clock, here as in `tick`.

        A pipeline that was there before owes what fell due since it was last looked at, unless
        its schedule was another one then.

        Raises:
            StoreUnavailable: Tried again at the next tick.
        """
        self._synced = False
        scheduled = [p for p in self._pipelines.by_name.values() if p.schedules]
        known = {row["pipeline"]: row for row in self._database.rows(queries.SCHEDULES)}
        self._next = {}
        entries = []
        for pipeline in scheduled:
            at = self._start_of(pipeline, seen_until(pipeline, known.get(pipeline.name), now))
            if at is not None:
                self._next[pipeline.name] = at
            entries.append(
                {
                    "pipeline": pipeline.name,
                    "next_instant": at.isoformat() if at else None,
                    "declared": declared(pipeline),
                }
            )
        names = {pipeline.name for pipeline in scheduled}
        self._starts = {name: one for name, one in self._starts.items() if name in names}
        held = list(self._pipelines.held)
        self._database.rows("sync_schedules", schedules=json.dumps(entries), now=now, held=held)
        self._looked_at = now
        self._synced = True

    def _start_of(self, pipeline: Pipeline, after: datetime) -> datetime | None:
        """Return the next start; computed anew only where it may be another than the last one.

        One edited file has all pipelines asked for, and the starts of thousands take seconds.
        """
        known = self._starts.get(pipeline.name)
        if known is not None:
            same, asked, at = known
            # Instants are looked for some years ahead: that there is none does not hold for ever.
            until = asked + _NONE_HOLDS if at is None else at
            if same is pipeline and asked <= after < until:
                return at
        found = next_start(pipeline, after)
        self._starts[pipeline.name] = (pipeline, after, found)
        return found

    def next_due(self) -> datetime | None:
        """Return when `tick` has something to do next."""
        return min(self._next.values(), default=None)

    def is_due(self, now: datetime) -> bool:
        """Return whether `tick` has something to do by `now`."""
        due = self.next_due()
        return not self._synced or (due is not None and due <= now)

    def tick(self, now: datetime, term: int) -> int:
        """Start what is due at `now`; returns how many runs were started.

        Raises:
            StoreUnavailable: What was not started is tried again at the next tick.
        """
        if not self._synced or self._was_set_back(now):
            self.refresh(now)
        self._looked_at = now
        due = sorted(name for name, at in self._next.items() if at <= now)
        if not due:
            return 0
        return sum(start_due(due, partial(self._start, now, term)))

    def _start(self, now: datetime, term: int, due: Sequence[str], failed: Exception | None) -> int:
        """Start the runs of some pipelines in one transaction; pass over them if they `failed`."""
        with self._database.transaction() as tx:
            rows = tx.rows(queries.LOCK_SCHEDULES, pipelines=due)
            progress = [self._progress_of(row, now) for row in rows]
            if failed is not None:
                progress = [self._without_runs(one, failed) for one in progress]
            plans = [plan for one in progress for plan in one.plans]
            runs, messages = self._inserted(tx, plans, term)
            tx.rows("advance_schedules", schedules=json.dumps([one.entry() for one in progress]))
            tell_of_unmade(tx, [failure for one in progress for failure in one.unmade])
            _observe_lag(tx, runs, progress, now)
            # Paused since the lease was taken, so that no run was inserted: what is due is the
            # next leader's then, and must not be marked as processed.
            if not tx.row("holds_term", term=term):
                raise LeadershipLost(f"term {term} is over")
            crash_point("dispatch-uncommitted")
        crash_point("dispatch-committed")
        for name in due:
            self._next.pop(name, None)
        self._next.update({one.pipeline: one.upcoming for one in progress if one.upcoming})
        messages += self._dispatcher.assign_slots_for(plans)
        self._dispatcher.send_soon(messages)
        for run in runs:
            _log_start(run)
        return len(runs)

    def _without_runs(self, one: _Progress, failed: Exception) -> _Progress:
        pipeline = self._pipelines.by_name[one.pipeline] if one.plans else None
        unmade = list(one.unmade)
        for plan in one.plans:
            assert pipeline is not None
            unmade.append(unmade_run(pipeline, plan.logical_date, Trigger.SCHEDULE, failed))
        return replace(one, plans=[], unmade=unmade)

    def _inserted(
        self, tx: SqlTransaction, plans: list[Plan], term: int
    ) -> tuple[list[NewRun], list[Message]]:
        if not plans:
            return [], []
        return self._dispatcher.insert_runs(
            tx, [(plan, Trigger.SCHEDULE) for plan in plans], term=term
        )

    def _was_set_back(self, now: datetime) -> bool:
        """Return whether the clock went back: what is due next lies too far ahead then."""
        return self._looked_at is not None and now < self._looked_at - TOLERANCE

    def _progress_of(self, row: LockedSchedule, now: datetime) -> _Progress:
        """Return which runs of one pipeline start, and how many instants are passed over."""
        name, seen = row["pipeline"], min(row["seen_until"], now)
        pipeline = self._pipelines.by_name.get(name)
        if pipeline is None:
            return _Progress(name, [], 0, now, None)
        fire: dict[datetime, Schedule] = {}
        skipped: dict[datetime, Schedule] = {}
        handled = now
        for schedule in pipeline.schedules:
            offset = offset_of(pipeline, schedule)
            due = due_instants(schedule, seen - offset, now - offset, _MOST_AT_ONCE)
            decision = catch_up(
                schedule.catchup,
                due,
                now - offset,
                schedule.catchup_window_s,
                schedule.start_deadline_s,
            )
            fire |= dict.fromkeys(decision.fire, schedule)
            skipped |= dict.fromkeys(decision.skipped, schedule)
            if schedule.catchup == "all" and len(due) == _MOST_AT_ONCE:
                handled = min(handled, due[-1] + offset)
        # What starts after that is the next tick's, whatever schedule it is of.
        fire = _until(handled, pipeline, fire)
        skipped = _until(handled, pipeline, skipped)
        upcoming = next_start(pipeline, handled)
        passed = len(fire | skipped) if row["paused"] else len(skipped.keys() - fire.keys())
        plans, unmade = self._plans(pipeline, {} if row["paused"] else fire)
        starts = {instant: instant + offset_of(pipeline, one) for instant, one in fire.items()}
        return _Progress(name, plans, passed, handled, upcoming, starts, unmade)

    def _plans(
        self, pipeline: Pipeline, fire: Mapping[datetime, Schedule]
    ) -> tuple[list[Plan], list[dict[str, Any] | None]]:
        """Return the plans of the runs that can be made, and what to tell of the others."""
        plans, unmade = [], []
        for instant in sorted(fire):
            try:
                plans.append(
                    self._planner.plan(
                        pipeline, {}, instant, Trigger.SCHEDULE, timezone=fire[instant].timezone
                    )
                )
            except Exception as error:
                log.error(
                    "%s: the run due %s cannot start: %s",
                    pipeline.name,
                    instant.isoformat(),
                    error,
                    exc_info=not isinstance(error, HeadraceError),
                )
                unmade.append(unmade_run(pipeline, instant, Trigger.SCHEDULE, error))
        return plans, unmade


def _until(
    last: datetime, pipeline: Pipeline, instants: Mapping[datetime, Schedule]
) -> dict[datetime, Schedule]:
    return {at: one for at, one in instants.items() if at + offset_of(pipeline, one) <= last}


def _observe_lag(
    tx: SqlTransaction, runs: list[NewRun], progress: list[_Progress], now: datetime
) -> None:
    """Count how much later than due these runs have started, for /metrics."""
    if not runs:
        return
    starts = {one.pipeline: one.starts for one in progress}
    lags = [
        max(0.0, (now - starts[run["pipeline"]][run["logical_date"]]).total_seconds())
        for run in runs
    ]
    tx.rows("add_observations", name="schedule_lag", values=lags, bounds=list(BOUNDS_S))


def _log_start(run: NewRun) -> None:
    log.info(
        "run %s of %s %s (due %s)%s",
        run["id"],
        run["pipeline"],
        "started" if run["status"] == "running" else run["status"],
        run["logical_date"].isoformat(),
        f": {run['error']}" if run["error"] else "",
    )
