"""From a file without problems to the pipeline that it declares."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.model.duration import parse_duration_s
from runner.model.pipeline import Param, Pipeline, Schedule, Step
from runner.model.retry import RetryPolicy


def build_pipeline(
    data: Mapping[str, Any], *, file: str, folder: Path, version: str, retry: RetryPolicy
) -> Pipeline:
    """Return the pipeline. `retry` is the policy that the file's own are based on.

    `data` has passed the schema and the rules.
    """
    defaults = data.get("defaults", {})
    return Pipeline(
        name=data["name"],
        file=file,
        folder=str(folder),
        version=version,
        steps=tuple(_step(step, defaults, retry) for step in data["steps"]),
        description=data.get("description", ""),
        schedules=_schedules(data.get("schedule")),
        params=tuple(_param(name, given) for name, given in data.get("params", {}).items()),
    )


def _step(data: Mapping[str, Any], defaults: Mapping[str, Any], retry: RetryPolicy) -> Step:
    timeout = data.get("timeout", defaults.get("timeout"))
    return Step(
        id=data["id"],
        job=data["job"],
        depends_on=tuple(data.get("depends_on", ())),
        queue=data.get("queue", defaults.get("queue")),
        with_=data.get("with", {}),
        retry=_retry(retry, defaults.get("retry"), data.get("retry")),
        timeout_s=None if timeout is None else parse_duration_s(timeout),
        description=data.get("description", ""),
    )


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
    if given.keys() & {"delay", "factor", "max_delay"}:
        changes["intervals_s"] = None
    return replace(base, **changes)


def _schedules(given: Any) -> tuple[Schedule, ...]:
    if given is None:
        return ()
    listed = given if isinstance(given, list) else [given]
    return tuple(_schedule({"cron": item} if isinstance(item, str) else item) for item in listed)


def _schedule(data: Mapping[str, Any]) -> Schedule:
    interval = data.get("interval")
    return Schedule(
        cron=data.get("cron"),
        interval_s=None if interval is None else parse_duration_s(interval),
        timezone=data.get("timezone", "UTC"),
    )


def _param(name: str, data: Mapping[str, Any]) -> Param:
    return Param(
        name=name,
        type=data.get("type", "string"),
        required=data.get("required", False),
        default=data.get("default"),
        description=data.get("description", ""),
    )
