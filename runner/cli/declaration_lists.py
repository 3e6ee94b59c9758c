"""`headrace pipelines`, `schedules`, `jobs --types`: what files and classes declare."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.cli.installation_access import installation, settings_of
from headrace.cli.printing import print_items, print_table, span, until, zoned
from headrace.model.moments import clock_of

if TYPE_CHECKING:
    from headrace.engine.application import Headrace
    from headrace.engine.catalog.job_type import JobType
    from headrace.model.pipeline import Calendar, Pipeline


def pipelines(given: argparse.Namespace) -> int:
    """List what the files declare, and report files that are broken."""
    with installation(given) as headrace:
        headrace.keep_last_good()
        rows = _pipeline_rows(headrace)
        problems = [one for one in headrace.pipelines.problems if one.severity == "error"]
        held = headrace.pipelines.held
    if given.json:
        print_items(rows)
    else:
        now = datetime.now(UTC)
        print_table(
            [
                (
                    row["name"],
                    row["steps"],
                    _due(row, now),
                    _last(row["last_run"], now),
                    row["description"],
                )
                for row in rows
            ],
            ("PIPELINE", "STEPS", "NEXT", "LAST RUN", "DESCRIPTION"),
            "The pipelines folder declares no pipelines.",
        )
    _tell_refused(rows)
    if problems:
        files = sorted({problem.file for problem in problems})
        sys.stdout.flush()
        print(f"Not valid: {', '.join(files)}; `headrace validate` shows why.", file=sys.stderr)
    _tell_broken((row["name"] for row in rows if row["broken"]), held)
    return 0


def _tell_broken(names: Iterable[str], held: Mapping[str, str]) -> None:
    """Warn of pipelines whose files are broken: which continue as they were, and which cannot."""
    if listed := ", ".join(sorted(names)):
        sys.stdout.flush()
        print(f"The last valid version stays active of: {listed}.", file=sys.stderr)
    for name, why in sorted(held.items()):
        print(f"{name} starts no runs because its file is broken: {why}.", file=sys.stderr)


def _tell_refused(rows: list[dict[str, Any]]) -> None:
    """Warn of triggers that could not start the last run that was due."""
    for row in rows:
        last = row["last_triggered"]
        if last is not None and last["outcome"] == "failed":
            sys.stdout.flush()
            print(
                f"{row['name']} was not started by run {last['upstream_run']} of"
                f" {last['upstream']}: {last['error']}",
                file=sys.stderr,
            )


def _pipeline_rows(headrace: "Headrace") -> list[dict[str, Any]]:
    from headrace.engine.scheduling.schedule_starts import next_start
    from headrace.engine.scheduling.trigger_params import trigger_row

    declared = headrace.pipelines.by_name
    waiting = [name for name, pipeline in declared.items() if pipeline.trigger]
    triggered = headrace.database.rows("last_triggered", pipelines=waiting, limit=1)
    last_triggered = {row["pipeline"]: row for row in triggered}
    schedules = {row["pipeline"]: row for row in headrace.database.rows("schedules")}
    last = {
        row["pipeline"]: row
        for row in headrace.database.rows("last_runs", pipelines=list(declared))
    }
    now = datetime.now(UTC)
    return [
        {
            "name": name,
            "file": pipeline.file,
            "description": pipeline.description,
            "version": pipeline.version,
            "steps": len(pipeline.steps),
            "schedule": [_schedule_text(one) for one in pipeline.schedules],
            "trigger": trigger_row(pipeline.trigger),
            "paused": schedules.get(name, {}).get("paused", False),
            "next_instant": next_start(pipeline, now),
            "last_run": last.get(name),
            "last_triggered": last_triggered.get(name),
            "broken": name in headrace.pipelines.staying,
        }
        for name, pipeline in declared.items()
    ]


def _schedule_text(schedule: Any) -> str:
    from headrace.model.duration import format_duration

    text = f"{schedule.cron} {schedule.timezone}"
    if schedule.cron is None:
        text = f"every {format_duration(schedule.interval_s)}"
    return f"{text}, {_days_text(schedule.calendar)}" if schedule.calendar else text


def _days_text(calendar: "Calendar") -> str:
    """Return which days a calendar counts, as in `working days of DE-BE except 2 dates`."""
    days = {
        "working": "working days",
        "holidays": "holidays",
        "not_holidays": "all days except holidays",
    }
    place = "-".join(filter(None, (calendar.country, calendar.subdivision)))
    text = f"{days[calendar.days]} of {place}" if place else days[calendar.days]
    if not calendar.dates:
        return text
    listed = f"{len(calendar.dates)} date{'s' * (len(calendar.dates) > 1)}"
    # The dates are further holidays: days that are worked are fewer for them.
    joined = "except" if calendar.days == "working" else "and" if place else "of"
    return f"{text} {joined} {listed}"


def _due(row: Mapping[str, Any], now: datetime) -> str:
    """Return when the next run of a pipeline starts, or after what."""
    due, trigger = row["next_instant"], row["trigger"]
    if row["paused"] and (due or trigger):
        return "paused"
    starts = [until(due, now)] if due is not None else []
    starts += [trigger["text"]] if trigger is not None else []
    return " or ".join(starts) or ("no more" if row["schedule"] else "by hand")


def _last(run: Mapping[str, Any] | None, now: datetime) -> str:
    if run is None:
        return "-"
    ended = run["finished_at"]
    if ended is None:
        return str(run["status"])
    return f"{run['status']} {span(max(0.0, (now - ended).total_seconds()))} ago"


def schedules(given: argparse.Namespace) -> int:
    """List what is due when, as the daemon knows it, and what was passed over."""
    with installation(given) as headrace:
        headrace.keep_last_good()
        broken, held = headrace.pipelines.staying, headrace.pipelines.held
        declared = headrace.pipelines.by_name
        known = {row["pipeline"]: row for row in headrace.database.rows("schedules")}
        clock = headrace.database.row("clock")
        now = clock["now"] if clock else datetime.now(UTC)
        leader = headrace.database.row("leader")
        rows = [
            _schedule_row(pipeline, known.get(name, {}), now)
            for name, pipeline in declared.items()
            if pipeline.schedules or pipeline.trigger
        ]
    if given.json:
        print_items(rows)
        return 0
    print_table(
        [
            (
                row["pipeline"],
                "; ".join(
                    [*row["schedule"], *([row["trigger"]["text"]] if row["trigger"] else [])]
                ),
                _next(row),
                _due(row, now),
                row["skipped"],
            )
            for row in rows
        ],
        ("PIPELINE", "SCHEDULE", "NEXT", "DUE", "SKIPPED"),
        "No pipeline has a schedule or a trigger.",
    )
    _tell_broken((row["pipeline"] for row in rows if row["pipeline"] in broken), held)
    _tell_standstill(rows, bool(leader and leader["live"]))
    return 0


def _next(row: Mapping[str, Any]) -> str | None:
    """Return when a pipeline is due next, on its schedule's clock."""
    at = row["next_instant"]
    return None if at is None else zoned(at, row["timezone"])


def _tell_standstill(rows: list[dict[str, Any]], led: bool) -> None:
    """Warn of reasons why schedules may not start runs when due."""
    sys.stdout.flush()
    if rows and not led:
        print("No daemon is active: no runs start automatically until one is.", file=sys.stderr)
    for row in rows:
        if row["ahead"]:
            print(
                f"{row['pipeline']} is remembered as dealt with up to"
                f" {zoned(row['seen_until'], row['timezone'])}, which is still to come: a clock"
                " was ahead. The daemon sets it back.",
                file=sys.stderr,
            )


def _schedule_row(pipeline: "Pipeline", known: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return a row as the daemon knows it; what it does not know yet is worked out here."""
    from headrace.engine.scheduling.schedule_starts import next_start
    from headrace.engine.scheduling.trigger_params import trigger_row

    seen = known.get("seen_until")
    return {
        "pipeline": pipeline.name,
        "schedule": [_schedule_text(one) for one in pipeline.schedules],
        "trigger": trigger_row(pipeline.trigger),
        "timezone": clock_of(pipeline),
        "next_instant": known.get("next_instant") or next_start(pipeline, now),
        "paused": known.get("paused", False),
        "seen_until": seen,
        "ahead": seen is not None and seen > now,
        "skipped": known.get("skipped", 0),
    }


def types(given: argparse.Namespace) -> int:
    """List the job classes with their parameters; needs no server."""
    from headrace.engine.catalog.job_registry import registry_of

    registry = registry_of(settings_of(given))
    kinds = [registry.get(name) for name in registry.names()]
    if given.json:
        print_items(_type_row(kind) for kind in kinds)
        return 0
    print_table(
        [(kind.name, _signature(kind), kind.summary) for kind in kinds],
        ("JOB", "PARAMETERS (* required)", "DOES"),
        "There are no job classes.",
    )
    return 0


def _signature(kind: "JobType") -> str:
    return ", ".join(
        f"{one.name}*" if one.required else one.name for one in kind.parameters.values()
    )


def _type_row(kind: "JobType") -> dict[str, Any]:
    from headrace.engine.catalog.type_hints import describe
    from headrace.model.job_parameters import written

    return {
        "name": kind.name,
        "summary": kind.summary,
        "transactional": kind.transactional,
        "parameters": [
            {
                "name": one.name,
                "type": "anything" if one.type is None else describe(one.type),
                "required": one.required,
                "default": written(one.default),
            }
            for one in kind.parameters.values()
        ],
    }
