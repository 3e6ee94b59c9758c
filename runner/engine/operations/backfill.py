"""One run for each schedule instant of a stretch of time that has none."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from headrace.engine.scheduling.database_clock import ServerClock
from headrace.errors import InvalidParams
from headrace.model.moments import clock_of, on_clock
from headrace.model.pipeline import Pipeline, Schedule
from headrace.model.status import Trigger
from headrace.plan.due import due_between
from headrace.store.database import Row
from headrace.store.row_types import NewRun

if TYPE_CHECKING:
    from headrace.engine.application import Headrace

# More than a year of hourly runs: beyond it, a slip of the pen is likelier than a wish.
MOST_INSTANTS = 10_000

# Runs of one transaction: a few statements, and no lock that is held for long.
_BATCH = 500


def backfill(
    headrace: "Headrace", pipeline: str, start: datetime, end: datetime, *, dry_run: bool = False
) -> Sequence[Mapping[str, Any]]:
    """Start a run for each instant from `start` to `end`, both included, that has none yet.

    Returns the rows of the runs that were started, in the order of their instants; with
    `dry_run`, what would be started: rows of `pipeline` and `logical_date` alone. Instants
    that have a run, whether a schedule's or an earlier backfill's, get no second one, so that
    an interrupted backfill is resumed by calling it again. The future is left to the schedule.

    Raises:
        UnknownPipeline, ProblemsError: There is no such pipeline.
        InvalidParams: It has no schedule, or the stretch holds more than `MOST_INSTANTS`.
        StoreUnavailable: PostgreSQL does not answer; whole batches were started, or nothing.
    """
    headrace.pipelines.refresh()
    declared = headrace.pipelines.get(pipeline)
    found = _instants(declared, start, end, ServerClock(headrace.database).now())
    instants = sorted(found)
    rows = headrace.database.rows("instants_with_runs", pipeline=pipeline, instants=instants)
    with_runs = {row["logical_date"] for row in rows}
    missing = [instant for instant in instants if instant not in with_runs]
    if dry_run:
        return [{"pipeline": pipeline, "logical_date": instant} for instant in missing]
    started: list[NewRun] = []
    for batch in _batches(missing):
        started += _start(headrace, declared, {instant: found[instant] for instant in batch})
    return started


def last_with_run(
    headrace: "Headrace", pipeline: Pipeline, start: datetime, end: datetime
) -> Row | None:
    """Return the run of the last instant of a stretch that has one."""
    instants = sorted(_instants(pipeline, start, end, ServerClock(headrace.database).now()))
    rows = headrace.database.rows("instants_with_runs", pipeline=pipeline.name, instants=instants)
    return max(rows, key=lambda row: row["logical_date"], default=None)


def bounds(pipeline: Pipeline, start: str, end: str) -> tuple[datetime, datetime]:
    """Return the stretch that two texts mean, as `--from` and `--to` take them.

    Each is a date or a time (ISO 8601). Without an offset it is on the clock of the pipeline's
    first schedule; the whole day of an end that is a date belongs to the stretch.

    Raises:
        InvalidParams: One of them is no date or time, or the end lies before the start.
    """
    zone = clock_of(pipeline)
    first, last = _read(start, "from"), _read(end, "to")
    if not isinstance(first, datetime):
        first = datetime.combine(first, time.min)
    if not isinstance(last, datetime):
        last = datetime.combine(last, time.max)
    begins, ends = _in_utc(first, zone, time.min), _in_utc(last, zone, time.max)
    if ends < begins:
        raise InvalidParams(f"the stretch ends ({end}) before it begins ({start})")
    return begins, ends


def _in_utc(moment: datetime, zone: str, edge: time) -> datetime:
    """Return a time in UTC; where UTC's calendar does not reach it, that day's `edge`."""
    try:
        return on_clock(moment, zone).astimezone(UTC)
    except OverflowError:
        return datetime.combine(moment.date(), edge, UTC)


def _read(text: str, name: str) -> datetime | date:
    # First: as a time, a date without hyphens would be its midnight.
    with suppress(ValueError):
        return date.fromisoformat(text)
    try:
        moment = datetime.fromisoformat(text)
        moment.astimezone(UTC)  # a time at the edge of the calendar has no UTC
    except (ValueError, OverflowError):
        raise InvalidParams(
            f'"{name}" takes a date or a time, as in 2026-01-31 or 2026-01-31T06:00; not "{text}"'
        ) from None
    return moment


def _instants(
    pipeline: Pipeline, start: datetime, end: datetime, now: datetime
) -> dict[datetime, Schedule]:
    """Return what is due, each instant with the schedule that it is due by."""
    if not pipeline.schedules:
        raise InvalidParams(f'"{pipeline.name}" has no schedule: there are no instants to fill')
    try:
        # `due_between` leaves its start out.
        after, until = start - timedelta(microseconds=1), min(end, now)
        found = {
            instant: schedule
            for schedule in pipeline.schedules
            for instant in due_between(schedule, after, until, MOST_INSTANTS + 1)
        }
    except OverflowError:
        raise InvalidParams(
            f"the stretch begins where the calendar does ({start:%Y-%m-%d}): begin it later"
        ) from None
    if len(found) > MOST_INSTANTS:
        raise InvalidParams(f"more than {MOST_INSTANTS} instants: fill a shorter stretch at once")
    return found


def _batches(instants: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    for begin in range(0, len(instants), _BATCH):
        yield instants[begin : begin + _BATCH]


def _start(
    headrace: "Headrace", pipeline: Pipeline, due: Mapping[datetime, Schedule]
) -> list[NewRun]:
    plan = headrace.planner.plan
    plans = [
        (
            plan(pipeline, {}, instant, Trigger.BACKFILL, timezone=schedule.timezone),
            Trigger.BACKFILL,
        )
        for instant, schedule in due.items()
    ]
    with headrace.database.transaction() as tx:
        rows, messages = headrace.dispatcher.insert_runs(tx, plans)
    messages += headrace.dispatcher.assign_slots_for(made for made, _trigger in plans)
    headrace.dispatcher.send_soon(messages)
    return sorted(rows, key=lambda row: row["logical_date"])
