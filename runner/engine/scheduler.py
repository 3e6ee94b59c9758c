"""Turning due instants into runs, each once, whatever number of daemons are up."""

import json
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from runner.engine.dispatcher import Dispatcher
from runner.engine.pipelines import Pipelines
from runner.engine.planner import Planner
from runner.errors import HeadraceError
from runner.model.pipeline import Pipeline, Schedule
from runner.model.plan import Plan
from runner.model.status import Trigger
from runner.plan.due import catch_up, due_between, jitter_offset_s, next_instants
from runner.store.database import Database, Row, Transaction

log = logging.getLogger("headrace.daemon")

# The most missed instants of one schedule that one tick looks at; the next tick goes on.
_MOST_AT_ONCE = 1000


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
        self._synced = False

    def refresh(self, now: datetime) -> None:
        """Take over what the files declare now.

        Raises:
            StoreUnavailable: Tried again at the next call.
        """
        scheduled = [p for p in self._pipelines.by_name.values() if p.schedules]
        known = {row["pipeline"]: row["seen_until"] for row in self._database.rows("schedules")}
        # A pipeline that was there before owes what fell due since it was last looked at.
        upcoming = {
            pipeline.name: _next_start(pipeline, known.get(pipeline.name, now))
            for pipeline in scheduled
        }
        entries = [
            {"pipeline": name, "next_instant": at.isoformat() if at else None}
            for name, at in upcoming.items()
        ]
        self._database.rows("sync_schedules", schedules=json.dumps(entries), now=now)
        self._next = {name: at for name, at in upcoming.items() if at is not None}
        self._synced = True

    def next_due(self) -> datetime | None:
        """Return when `tick` has something to do next."""
        return min(self._next.values(), default=None)

    def tick(self, now: datetime, term: int) -> int:
        """Start what is due at `now`; returns how many runs were started.

        Raises:
            StoreUnavailable: Nothing was started; tried again at the next tick.
        """
        if not self._synced:
            self.refresh(now)
        due = sorted(name for name, at in self._next.items() if at <= now)
        if not due:
            return 0
        with self._database.transaction() as tx:
            rows = tx.rows("lock_schedules", pipelines=due)
            decided = [self._decide(row, now) for row in rows]
            plans = [(plan, Trigger.SCHEDULE) for found, _ in decided for plan in found]
            runs, messages = [], []
            if plans:
                runs, messages = self._dispatcher.insert_runs(tx, plans, term=term)
            upcoming = self._advance(tx, rows, [skipped for _, skipped in decided], now)
        self._next.update(upcoming)
        for name in set(due) - upcoming.keys():
            self._next.pop(name, None)
        self._dispatcher.send_soon(messages)
        for run in runs:
            log.info(
                "run %s of %s started (due %s)",
                run["id"],
                run["pipeline"],
                run["logical_date"].isoformat(),
            )
        return len(runs)

    def _decide(self, row: Row, now: datetime) -> tuple[list[Plan], int]:
        """Return the plans of a pipeline's due runs, and how many instants are passed over."""
        pipeline = self._pipelines.by_name.get(row["pipeline"])
        if pipeline is None:
            return [], 0
        fire: set[datetime] = set()
        skipped: set[datetime] = set()
        for schedule in pipeline.schedules:
            offset = timedelta(seconds=jitter_offset_s(pipeline.name, schedule.jitter_s))
            instants = due_between(
                schedule, row["seen_until"] - offset, now - offset, limit=_MOST_AT_ONCE
            )
            decision = catch_up(
                schedule.catchup,
                instants,
                now - offset,
                schedule.catchup_window_s,
                schedule.start_deadline_s,
            )
            fire.update(decision.fire)
            skipped.update(decision.skipped)
        if row["paused"]:
            return [], len(fire | skipped)
        return self._plans(pipeline, sorted(fire)), len(skipped - fire)

    def _plans(self, pipeline: Pipeline, instants: Iterable[datetime]) -> list[Plan]:
        plans = []
        for instant in instants:
            try:
                plans.append(self._planner.plan(pipeline, {}, instant, Trigger.SCHEDULE))
            except HeadraceError as error:
                log.error(
                    "%s: the run due %s cannot start: %s", pipeline.name, instant.isoformat(), error
                )
        return plans

    def _advance(
        self, tx: Transaction, rows: list[Row], skipped: list[int], now: datetime
    ) -> dict[str, datetime]:
        upcoming: dict[str, datetime] = {}
        entries = []
        for row, count in zip(rows, skipped, strict=True):
            pipeline = self._pipelines.by_name.get(row["pipeline"])
            at = _next_start(pipeline, now) if pipeline else None
            if at is not None:
                upcoming[row["pipeline"]] = at
            entries.append(
                {
                    "pipeline": row["pipeline"],
                    "next_instant": at.isoformat() if at else None,
                    "skipped": count,
                }
            )
        tx.rows("advance_schedules", schedules=json.dumps(entries), now=now)
        return upcoming


def _next_start(pipeline: Pipeline, after: datetime) -> datetime | None:
    """Return when the pipeline starts next, jitter included."""
    starts = [
        start
        for schedule in pipeline.schedules
        if (start := _start_after(pipeline, schedule, after)) is not None
    ]
    return min(starts, default=None)


def _start_after(pipeline: Pipeline, schedule: Schedule, after: datetime) -> datetime | None:
    offset = timedelta(seconds=jitter_offset_s(pipeline.name, schedule.jitter_s))
    instants = next_instants(schedule, after - offset, 1)
    return instants[0] + offset if instants else None
