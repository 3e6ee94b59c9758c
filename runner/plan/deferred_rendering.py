"""Renders what `expand` has left until other steps have ended."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from headrace.plan.deferred_values import at_place, speaks_later
from headrace.plan.environment_references import Keys, no_keys
from headrace.plan.expand import plain, sql_is_verbatim

Render = Callable[[Any, Mapping[str, Any]], Any]


def render_late(
    job: str,
    payload: Mapping[str, Any],
    variables: Mapping[str, Any],
    render: Render,
    verbatim: Callable[[str], Collection[str]] = sql_is_verbatim,
    *,
    handler: str | None = None,
    referring: Callable[[str], Collection[str]] = no_keys,
    in_sql: Callable[[str], Collection[str]] = no_keys,
) -> dict[str, Any]:
    """Return the payload of a late job with the rest of its templates rendered.

    Only values over `steps.` are: what `expand` has rendered is data by now, and what it has
    left to the job still is the job's. `variables` are `params`, `run` and `steps`.

    Raises:
        TemplateError: a value cannot be rendered.
    """
    keys = Keys.of(verbatim, referring, in_sql, job)

    def rendered(value: Any, place: str, path: list[str]) -> Any:
        if isinstance(value, Mapping):
            return {
                key: rendered(item, f"{place}.{key}", [*path, key]) for key, item in value.items()
            }
        if isinstance(value, list):
            return [rendered(item, f"{place}[{i}]", path) for i, item in enumerate(value)]
        if not isinstance(value, str) or not speaks_later(value, handler):
            return value
        with at_place(place):
            return plain(keys.render_of(path, render)(value, variables))

    return {
        key: value if key in keys.verbatim else rendered(value, f"with.{key}", [key])
        for key, value in payload.items()
    }
