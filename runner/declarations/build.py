"""Builds the pipeline that a file without problems declares."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from headrace.declarations.config.notifications import notify_of
from headrace.declarations.draft import HANDLERS
from headrace.model.duration import parse_duration_s
from headrace.model.moments import moment
from headrace.model.notifications import Expectation, Notify
from headrace.model.pipeline import (
    Calendar,
    Concurrency,
    Foreach,
    Param,
    Pipeline,
    PipelineTrigger,
    Schedule,
    Step,
)
from headrace.model.retry import RetryPolicy
from headrace.model.subpipeline import job_class_of


def build_pipeline(
    data: Mapping[str, Any],
    *,
    file: str,
    folder: Path,
    version: str,
    retry: RetryPolicy,
    outer: Sequence[Mapping[str, Any]] = (),
    calendars: Mapping[str, Sequence[date]] | None = None,
    notify: Notify | None = None,
) -> Pipeline:
    """Return the pipeline. `retry` is the policy that the file's own are based on, so is `notify`.

    `data` has passed the schema and the rules. `outer` holds the defaults of its folders,
    the outermost first; `calendars` the days of its calendars' files, by their names.
    """
    defaults = _layered([*outer, data.get("defaults", {})])
    return Pipeline(
        name=data["name"],
        file=file,
        folder=str(folder),
        version=version,
        steps=tuple(_step(step, defaults, retry) for step in data["steps"]),
        description=data.get("description", ""),
        schedules=_schedules(data.get("schedule"), calendars or {}),
        params=tuple(_param(name, given) for name, given in data.get("params", {}).items()),
        concurrency=_concurrency(data.get("concurrency"), data["name"]),
        handlers=tuple(
            _step(step, defaults, retry, handler)
            for handler in HANDLERS
            for step in data.get("handlers", {}).get(handler, ())
        ),
        trigger=_trigger(data.get("trigger")),
        notify=_notify(notify, [*outer, data]),
        expected=_expected(_layered([*outer, data])),
    )


def _notify(base: Notify | None, layers: Sequence[Mapping[str, Any]]) -> Notify | None:
    outermost = {} if base is None else {"on": base.on, "to": base.to}
    return notify_of(outermost, *(layer["notify"] for layer in layers if "notify" in layer))


def _expected(data: Mapping[str, Any]) -> Expectation | None:
    if "deadline" not in data and "expected_duration" not in data:
        return None
    return Expectation(_seconds(data, "deadline"), _seconds(data, "expected_duration"))


def _layered(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the defaults with each layer's keys over those before it.

    Of `retry` and `env` too, key by key.
    """
    defaults: dict[str, Any] = {}
    for layer in layers:
        merged = {key: {**defaults.get(key, {}), **layer.get(key, {})} for key in ("retry", "env")}
        defaults |= {**layer, **merged}
    return defaults


def _step(
    data: Mapping[str, Any],
    defaults: Mapping[str, Any],
    retry: RetryPolicy,
    handler: str | None = None,
) -> Step:
    layered = {**defaults, **data}
    runs = data.get("pipeline")
    rule = data.get("trigger_rule", "all_success")
    return Step(
        id=data["id"],
        job=data["job"] if runs is None else job_class_of(runs),
        # Under `always` a step waits for none of them, and speaks of none.
        depends_on=() if rule == "always" else tuple(data.get("depends_on", ())),
        trigger_rule=rule,
        when=data.get("when"),
        allow_failure=data.get("allow_failure", False),
        foreach=_foreach(data.get("foreach")),
        queue=layered.get("queue"),
        pool=data.get("pool"),
        with_=data.get("with", {}),
        # Those of a pipeline that is run are its own steps'.
        retry=_retry(retry, defaults.get("retry"), data.get("retry"))
        if runs is None
        else RetryPolicy(limit=0),
        timeout_s=_seconds(layered, "timeout") if runs is None else None,
        description=data.get("description", ""),
        handler=handler,
        env={**defaults.get("env", {}), **data.get("env", {})} if runs is None else {},
        expected=_expected(data),
    )


def _concurrency(data: Mapping[str, Any] | None, pipeline: str) -> Concurrency | None:
    if data is None:
        return None
    # A pipeline without a group is one by itself: no group's name has a blank in it.
    group = data.get("group", f"pipeline {pipeline}")
    return Concurrency(data.get("limit", 1), data.get("on_conflict", "queue"), group)


def _trigger(given: Any) -> PipelineTrigger | None:
    if given is None:
        return None
    data: Mapping[str, Any] = {"pipelines": [given]} if isinstance(given, str) else given
    return PipelineTrigger(
        pipelines=tuple(data["pipelines"]),
        window_s=parse_duration_s(data.get("window", "1d")),
        on=data.get("on", "completed"),
        with_=data.get("with", {}),
    )


def _foreach(data: Mapping[str, Any] | None) -> Foreach | None:
    if data is None:
        return None
    return Foreach(data["items"], data.get("as", "item"), data.get("max_concurrent"))


def _retry(base: RetryPolicy, *layers: Mapping[str, Any] | None) -> RetryPolicy | None:
    """Return the base with each layer's keys over it, or None where there is no layer."""
    given: dict[str, Any] = {}
    for layer in layers:
        given |= layer or {}
    if not given:
        return None
    changes: dict[str, Any] = {
        key: given[key] for key in ("limit", "factor", "jitter") if key in given
    }
    for key in ("delay", "max_delay"):
        if key in given:
            changes[f"{key}_s"] = parse_duration_s(given[key])
    if "when" in given:
        when = given["when"]
        changes["when"] = tuple(when) if isinstance(when, list) else when
    if given.keys() & {"delay", "factor", "max_delay"}:
        changes["intervals_s"] = None
    return replace(base, **changes)


def _schedules(given: Any, calendars: Mapping[str, Sequence[date]]) -> tuple[Schedule, ...]:
    if given is None:
        return ()
    listed = given if isinstance(given, list) else [given]
    return tuple(
        _schedule({"cron": item} if isinstance(item, str) else item, calendars) for item in listed
    )


def _schedule(data: Mapping[str, Any], calendars: Mapping[str, Sequence[date]]) -> Schedule:
    zone = data.get("timezone", "UTC")
    return Schedule(
        cron=data.get("cron"),
        interval_s=_seconds(data, "interval"),
        timezone=zone,
        catchup=data.get("catchup", "latest"),
        catchup_window_s=_seconds(data, "catchup_window"),
        start_deadline_s=_seconds(data, "start_deadline"),
        jitter_s=_seconds(data, "jitter") or 0.0,
        start=_moment(data, "start", zone),
        end=_moment(data, "end", zone),
        calendar=_calendar(data.get("calendar"), calendars),
    )


def _calendar(
    data: Mapping[str, Any] | None, files: Mapping[str, Sequence[date]]
) -> Calendar | None:
    if data is None:
        return None
    dates = {date.fromisoformat(text) for text in data.get("dates", ())}
    return Calendar(
        days=data.get("days", "working"),
        country=data.get("country"),
        subdivision=data.get("subdivision"),
        dates=tuple(sorted(dates.union(files.get(data.get("file", ""), ())))),
    )


def _seconds(data: Mapping[str, Any], key: str) -> float | None:
    return parse_duration_s(data[key]) if key in data else None


def _moment(data: Mapping[str, Any], key: str, zone: str) -> datetime | None:
    return moment(data[key], zone) if key in data else None


def _param(name: str, data: Mapping[str, Any]) -> Param:
    return Param(
        name=name,
        type=data.get("type", "string"),
        required=data.get("required", False),
        default=data.get("default"),
        enum=tuple(data["enum"]) if "enum" in data else None,
        pattern=data.get("pattern"),
        min=data.get("min"),
        max=data.get("max"),
        description=data.get("description", ""),
    )
