"""Rules for a schedule's calendar, beyond its schema."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from headrace.declarations.calendar_files import DATE_HINT, YAML_SUFFIXES, day_of, locate
from headrace.declarations.draft import Draft, Finding
from headrace.declarations.source import KeyPath
from headrace.plan.calendars import check_country, check_subdivision


def calendars_count_days(draft: Draft) -> Iterator[Finding]:
    """A calendar knows its country and says which days are its holidays."""
    for path, calendar in draft.calendars():
        yield from _places(path, calendar)
        yield from _dates(path, calendar)
        kind = calendar.get("days")
        if kind in ("holidays", "not_holidays") and not calendar.keys() & {
            "country",
            "dates",
            "file",
        }:
            message = f'"days: {kind}" has no holidays'
            hint = "add a country, dates or a file"
            yield Finding((*path, "days"), "missing-key", message, hint)


def _places(path: KeyPath, calendar: Mapping[str, Any]) -> Iterator[Finding]:
    country, subdivision = calendar.get("country"), calendar.get("subdivision")
    if "subdivision" in calendar and "country" not in calendar:
        message = "a subdivision needs a country, and none is given"
        yield Finding((*path, "subdivision"), "missing-key", message, "add the country", True)
    if not isinstance(country, str) or not country:
        return
    fault = check_country(country)
    if fault:
        yield Finding((*path, "country"), "unknown-country", *fault)
    elif isinstance(subdivision, str) and subdivision:
        fault = check_subdivision(country, subdivision)
        if fault:
            yield Finding((*path, "subdivision"), "unknown-subdivision", *fault)


def _dates(path: KeyPath, calendar: Mapping[str, Any]) -> Iterator[Finding]:
    dates = calendar.get("dates")
    for index, text in enumerate(dates if isinstance(dates, list) else ()):
        # What does not even look like one has been reported by the schema.
        if isinstance(text, str) and text[:4].isdecimal() and len(text) == 10 and not day_of(text):
            message = f'"{text}" is not a valid date'
            yield Finding((*path, "dates", index), "bad-date", message, DATE_HINT)


def calendar_files_exist(draft: Draft) -> Iterator[Finding]:
    """A calendar's file exists, and is not taken for a pipeline."""
    for path, calendar in draft.calendars():
        name = calendar.get("file")
        if not isinstance(name, str) or not name or draft.folder is None:
            continue
        place = (*path, "file")
        found = locate(name, draft.folder, draft.settings)
        if isinstance(found, tuple):
            yield Finding(place, *found)
        elif found.suffix in YAML_SUFFIXES and not found.name.startswith(("_", ".")):
            message = f'"{name}" would be read as a pipeline'
            hint = f'begin its name with "_": {PurePath(name).with_name("_" + found.name)}'
            yield Finding(place, "bad-name", message, hint)
