"""Records since when a schedule is declared: earlier instants are not caught up."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from headrace.model.definition import definition
from headrace.model.pipeline import Pipeline

log = logging.getLogger("headrace.daemon")

# A clock that is corrected by less says nothing.
TOLERANCE = timedelta(seconds=1)

# These decide what becomes of an instant, not when there is one.
_POLICIES = ("catchup", "catchup_window", "start_deadline", "jitter")


def declared(pipeline: Pipeline) -> str:
    """Return which instants a pipeline's schedules have, in a form to compare."""
    known, told = _told.get(pipeline.name, (None, ""))
    if known is pipeline:
        return told
    # Nothing else of it: the definitions of ten thousand pipelines take seconds.
    only = Pipeline(name="", file="", folder="", version="", steps=(), schedules=pipeline.schedules)
    schedules = definition(only).get("schedule", ())
    told = json.dumps(
        [{key: value for key, value in one.items() if key not in _POLICIES} for one in schedules],
        sort_keys=True,
    )
    _told[pipeline.name] = (pipeline, told)
    return told


# The last answer about each pipeline: it is asked for all of them when one file has changed.
_told: dict[str, tuple[Pipeline, str]] = {}


def seen_until(pipeline: Pipeline, row: Mapping[str, Any] | None, now: datetime) -> datetime:
    """Return up to when a pipeline's instants are processed, and tell what was set aside.

    `row` is what is remembered of it, None for a pipeline that is new.
    """
    if row is None:
        return now
    if row["seen_until"] > now:
        if row["seen_until"] > now + TOLERANCE:
            log.warning(
                "%s: its schedule was processed up to %s, which is in the future: a clock was"
                " ahead. It continues from now; instants that already had their run get no second"
                " one",
                pipeline.name,
                row["seen_until"].isoformat(" ", "seconds"),
            )
        return now
    if row["declared"] is not None and row["declared"] != declared(pipeline):
        log.info(
            "%s: its schedule is new or was changed; earlier instants are not caught up",
            pipeline.name,
        )
        return now
    moment: datetime = row["seen_until"]
    return moment
