"""Variables under `run.` for templates."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from headrace.errors import InvalidParams
from headrace.model.moments import clock_of
from headrace.model.pipeline import Pipeline


def run_variables(
    pipeline: Pipeline, logical_date: datetime, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the variables of `run.`: `extra`, `pipeline`, `logical_date` and its `date`.

    `logical_date` is given on the clock of the schedule's zone, so that a run due at midnight
    in Berlin is of the day that begins there, not of the day that UTC still has. Where a
    pipeline has several schedules, `extra["timezone"]` names that of the one that fired;
    without it the first one's counts.

    Raises:
        InvalidParams: There is no such time on that clock.
    """
    timezone = extra.get("timezone") or clock_of(pipeline)
    try:
        local = logical_date.astimezone(ZoneInfo(timezone))
    except OverflowError:
        raise InvalidParams(
            f"logical_date: {logical_date.isoformat()} is at the calendar's edge, where the clock"
            f" of {timezone} has no time for it"
        ) from None
    return {**extra, "pipeline": pipeline.name, "logical_date": local, "date": local.date()}
