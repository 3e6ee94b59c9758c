"""The run's parameters in a job that runs SQL."""

from collections.abc import Mapping
from typing import Any

from headrace.engine.catalog.job_registry import Registry
from headrace.model.subpipeline import pipeline_of
from headrace.plan.expand import plain

LONGEST_REPEATED = 100


def with_params(
    registry: Registry,
    job_class: str,
    payload: Mapping[str, Any],
    params: Mapping[str, Any],
    *,
    of_item: bool,
) -> Mapping[str, Any]:
    """Give a job that runs SQL the run's params, so that `{{ params.day }}` works in it.

    They are bound there like the job's own, which come first. The job of an item is given no
    long list: it would be repeated in each of them.
    """
    if not params or pipeline_of(job_class) is not None:
        return payload
    if "params" not in registry.get(job_class).parameters:
        return payload
    own = payload.get("params") or {}
    given = {
        name: plain(value) for name, value in params.items() if not (of_item and _is_long(value))
    }
    return {**payload, "params": {**given, **own}}


def _is_long(value: Any) -> bool:
    """Return whether a value is too long to repeat in every job of a foreach: its items, say."""
    return isinstance(value, list | tuple) and len(value) > LONGEST_REPEATED
