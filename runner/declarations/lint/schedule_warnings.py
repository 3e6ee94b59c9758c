"""Warnings about schedules that are valid and may not be meant."""

from collections.abc import Iterator

from headrace.declarations.source import Document, KeyPath
from headrace.errors import Problem
from headrace.model.pipeline import Pipeline


def either_day(pipeline: Pipeline, document: Document) -> Iterator[Problem]:
    """Yield the cron expressions that name days of the month and of the week: either will do."""
    for index, schedule in enumerate(pipeline.schedules):
        fields = (schedule.cron or "").split()
        if len(fields) != 5 or fields[2][0] in "*?" or fields[4][0] in "*?":
            continue
        place = document.at(_path(document, index))
        message = (
            f'"{schedule.cron}" fires on day {fields[2]} of the month OR on {fields[4]},'
            " not only where both hold"
        )
        hint = (
            "leave one of the two as *; a calendar can restrict the days, and a first step with"
            " `when` can check the date"
        )
        yield Problem(document.file, *place, "either-day", message, hint, severity="warning")


def _path(document: Document, index: int) -> KeyPath:
    """Return where the expression of a schedule stands: a text, a mapping, or in a list."""
    written = document.data.get("schedule")
    path: KeyPath = ("schedule",)
    if isinstance(written, list):
        path, written = (*path, index), written[index]
    return (*path, "cron") if isinstance(written, dict) else path
