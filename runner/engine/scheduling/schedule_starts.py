"""When a pipeline's schedules start runs: their instants, later by the jitter."""

from datetime import datetime, timedelta

from headrace.model.pipeline import Pipeline, Schedule
from headrace.plan.due import due_between, jitter_offset_s, last_between, next_instants


def due_instants(schedule: Schedule, after: datetime, until: datetime, most: int) -> list[datetime]:
    """Return at most `most` due instants: the last ones, or for `catchup: all` the first."""
    if schedule.catchup == "all":
        return due_between(schedule, after, until, limit=most)
    return last_between(schedule, after, until, most)


def offset_of(pipeline: Pipeline, schedule: Schedule) -> timedelta:
    """Return how much later than its instants a schedule's runs start."""
    return timedelta(seconds=jitter_offset_s(pipeline.name, schedule.jitter_s))


def next_start(pipeline: Pipeline, after: datetime) -> datetime | None:
    """Return when the pipeline starts next, jitter included."""
    starts = [
        start
        for schedule in pipeline.schedules
        if (start := _start_after(pipeline, schedule, after)) is not None
    ]
    return min(starts, default=None)


def _start_after(pipeline: Pipeline, schedule: Schedule, after: datetime) -> datetime | None:
    offset = offset_of(pipeline, schedule)
    instants = next_instants(schedule, after - offset, 1)
    return instants[0] + offset if instants else None
