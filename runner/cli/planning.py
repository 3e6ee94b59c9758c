"""`headrace plan`, `headrace cron`: what would happen, and when."""

import argparse
from typing import TYPE_CHECKING, Any

from headrace.cli.forecasting import forecast_lines
from headrace.cli.installation_access import control_url, settings_of
from headrace.cli.instants import next_instants
from headrace.cli.previewing import as_text, sql_json, sql_lines
from headrace.cli.printing import moment, params_of, print_json, zoned
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.declarations.config import Settings
    from headrace.engine.catalog.job_registry import Registry
    from headrace.engine.explain.forecasts import ForecastJob
    from headrace.engine.explain.sql_preview import PreviewedJob
    from headrace.model.pipeline import Calendar, Pipeline
    from headrace.model.plan import Plan, PlannedJob
    from headrace.plan.upcoming_instants import PreviewRow


def plan(given: argparse.Namespace) -> int:
    """Show a run's steps in order with their SQL, and the next fire times."""
    if given.diff and not given.data:
        from headrace.cli.plan_diff import diff

        return diff(given)
    from headrace.engine.catalog.job_registry import registry_of
    from headrace.engine.catalog.pipeline_catalog import Pipelines
    from headrace.engine.explain.affected_relations import with_touched
    from headrace.engine.explain.sql_preview import preview_sql
    from headrace.engine.planning.planner import Planner
    from headrace.model.moments import clock_of
    from headrace.model.status import Trigger

    settings = settings_of(given)
    registry = registry_of(settings)
    pipelines = Pipelines(settings, registry)
    pipeline = pipelines.get(given.pipeline)
    planned = Planner(settings, pipelines, registry).plan(
        pipeline,
        params_of(given.params),
        moment(given.logical_date, "--logical-date", clock_of(pipeline)),
        Trigger.MANUAL,
    )
    previews = preview_sql(planned, settings, registry)
    sql = list(with_touched(previews, settings, registry, lambda: control_url(settings)))
    waves = _waves(planned)
    upcoming = next_instants(pipeline.schedules)
    data = _forecasts(given, planned, settings, registry)
    if given.json:
        told = _plan_json(planned, waves, sql, upcoming, data)
        print_json({**told, "trigger": _trigger(pipeline)})
    else:
        _print_plan(pipeline, planned, waves, sql, upcoming, data)
    return 1 if any(one.fatal for one in sql) else 0


def _forecasts(
    given: argparse.Namespace, planned: "Plan", settings: "Settings", registry: "Registry"
) -> "Mapping[str, ForecastJob]":
    """Return the forecast of each step that has one, where they are asked for."""
    if not given.data:
        return {}
    from headrace.cli.forecasting import timeout_of
    from headrace.engine.explain.forecasts import forecasts

    timeout_s = timeout_of(given)
    found = forecasts(planned, settings, registry, lambda: control_url(settings), timeout_s)
    return {one.step: one for one in found}


def _waves(planned: "Plan") -> dict[str, int]:
    """Return each step's wave, from 1: it needs only steps of earlier waves.

    Handlers come after the last one, `finally` after the others.
    """
    wave: dict[str, int] = {}
    for job in planned.jobs:
        if job.handler is None:
            wave[job.step] = 1 + max((wave[step] for step in job.depends_on), default=0)
    last = max(wave.values(), default=0)
    handlers = {job.step: job.handler for job in planned.jobs if job.handler is not None}
    early = set(handlers.values()) - {"finally"}
    for step, handler in handlers.items():
        wave[step] = last + (2 if handler == "finally" and early else 1)
    return wave


def _trigger(pipeline: "Pipeline") -> dict[str, Any] | None:
    from headrace.engine.scheduling.trigger_params import trigger_row

    return trigger_row(pipeline.trigger)


def _plan_json(
    planned: "Plan",
    waves: dict[str, int],
    sql: "Sequence[PreviewedJob]",
    upcoming: "Sequence[PreviewRow]",
    data: "Mapping[str, ForecastJob]",
) -> dict[str, Any]:
    texts = {one.step: one for one in sql}
    return {
        "pipeline": planned.pipeline,
        "version": planned.version,
        "logical_date": planned.logical_date,
        "timezone": planned.timezone,
        "params": planned.params,
        "steps": [
            {
                "id": job.step,
                "wave": waves[job.step],
                "job": job.job_class,
                "queue": job.queue,
                "depends_on": list(job.depends_on),
                "trigger_rule": job.trigger_rule,
                "when": job.when,
                "with": job.payload,
                "timeout_s": job.timeout_s,
                "late": job.late,
                "handler": job.handler,
                "pool": job.pool,
                "slots": job.slots,
                "env": job.env,
                "foreach": job.foreach,
                "sql": sql_json(texts[job.step]) if job.step in texts else None,
                "data": data[job.step].as_json() if job.step in data else None,
            }
            for job in planned.jobs
        ],
        "next_instants": [row.as_json() for row in upcoming],
    }


def _print_plan(
    pipeline: "Pipeline",
    planned: "Plan",
    waves: dict[str, int],
    sql: "Sequence[PreviewedJob]",
    upcoming: "Sequence[PreviewRow]",
    data: "Mapping[str, ForecastJob]",
) -> None:
    print(f"{pipeline.name} ({pipeline.file})")
    if pipeline.description:
        print(f"  {pipeline.description}")
    print(f"logical date {zoned(planned.logical_date, planned.timezone)}")
    for name, value in planned.params.items():
        print(f"param {name} = {as_text(value)}")
    texts = {one.step: one for one in sql}
    for number in range(1, max(waves.values(), default=0) + 1):
        print(f"\nwave {number}")
        for job in planned.jobs:
            if waves[job.step] == number:
                _print_step(job, texts.get(job.step), data.get(job.step))
    print()
    for row in upcoming:
        print(f"next {row}")
    trigger = _trigger(pipeline)
    if trigger is not None:
        print(f"next {trigger['text']}")
    elif not upcoming:
        over = "nothing is due in the future" if pipeline.schedules else "no schedule"
        print(f"next: {over}, starts manually")


def _print_rules(job: "PlannedJob") -> None:
    """Say what decides whether and when the step runs."""
    if job.foreach is not None:
        items = as_text(job.foreach["items"])
        print(f"    foreach {job.foreach['as']} in {items}: their number is known at its start")
    if job.handler is not None:
        print(f"    handler: {job.handler}")
    if job.slots is not None:
        print(f"    at a time: {job.slots} of {job.pool or 'the step'}")
    if job.trigger_rule != "all_success":
        print(f"    trigger_rule: {job.trigger_rule}")
    if job.when is not None:
        print(f"    when: {job.when}")


def _print_step(job: "PlannedJob", sql: "PreviewedJob | None", data: "ForecastJob | None") -> None:
    after = f" after {', '.join(job.depends_on)}" if job.depends_on else ""
    print(f"  {job.step}: {job.job_class} on {job.queue}{after}")
    _print_rules(job)
    for name, value in job.payload.items():
        if name != "sql":
            print(f"    {name}: {as_text(value)}")
    for name, value in job.env.items():
        print(f"    env {name}: {as_text(value)}")
    for line in sql_lines(sql) if sql is not None else ():
        print(line)
    for line in forecast_lines(data) if data is not None else ():
        print(line)


def cron(given: argparse.Namespace) -> int:
    """Show the next instants of a cron expression."""
    from headrace.plan.cron import check_cron, check_timezone
    from headrace.plan.upcoming_instants import preview_cron

    fault = check_timezone(given.timezone) or check_cron(given.expression)
    if fault:
        raise ConfigError(fault)
    start = moment(given.start, "--from", given.timezone)
    rows = preview_cron(given.expression, given.timezone, start, given.count, _calendar_of(given))
    if given.json:
        print_json({"items": [row.as_json() for row in rows]})
        return 0
    for row in rows:
        print(row)
    if len(rows) < given.count:
        print("then nothing for ten years")
    return 0


def _calendar_of(given: argparse.Namespace) -> "Calendar | None":
    """Return the calendar that the options mean, or None where there are none."""
    from headrace.model.pipeline import Calendar
    from headrace.plan.calendars import check_country, check_subdivision

    if given.days is None and given.country is None and given.subdivision is None:
        return None
    days = given.days or "working"
    if given.country is None:
        if given.subdivision is not None:
            raise ConfigError("--subdivision needs a --country")
        if days != "working":
            raise ConfigError(f"--days {days} needs a --country")
        return Calendar(days)
    fault = check_country(given.country)
    if fault is None and given.subdivision is not None:
        fault = check_subdivision(given.country, given.subdivision)
    if fault:
        raise ConfigError(": ".join(fault))
    return Calendar(days, given.country, given.subdivision)
