"""Finds the values of a plan that are known only after other steps have ended."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from headrace.errors import HeadraceError, TemplateError
from headrace.model.plan import MOST_ITEMS
from headrace.template.braces import has_template
from headrace.template.syntax import reading

KNOWN_AT_THE_END = ("id", "status", "started_at", "duration_s", "failed_steps")
"""What `run` has in a handler, beside what it has everywhere."""


def speaks_later(value: Any, handler: str | None) -> bool:
    """Return whether a value holds a template that has no value before other steps have ended.

    That is one that speaks of other steps, `{{ steps.load.result }}`, and in a handler one that
    speaks of how the run has ended.
    """
    if isinstance(value, Mapping):
        return any(speaks_later(item, handler) for item in value.values())
    if isinstance(value, list | tuple):
        return any(speaks_later(item, handler) for item in value)
    if not has_template(value) or ("steps" not in value and handler is None):
        return False
    said = reading(value)
    return "steps" in said.names or (
        handler is not None and any(said.has("run", name) for name in KNOWN_AT_THE_END)
    )


def speaks_of(value: str, name: str) -> bool:
    """Return whether a text holds a template that takes a variable of this name from outside."""
    return has_template(value) and name in value and name in reading(value).names


def fault_of_items(items: Any) -> str | None:
    """Return why a foreach cannot run over this, or None."""
    if not isinstance(items, list | tuple):
        return f"{items!r:.80} is not a list"
    return f"{len(items)}, more than {MOST_ITEMS}" if len(items) > MOST_ITEMS else None


@contextmanager
def at_place(place: str) -> Iterator[None]:
    """Name the key of a step whose value cannot be rendered.

    Raises:
        TemplateError: what is raised inside, with the key in front.
    """
    try:
        yield
    except HeadraceError as error:
        raise TemplateError(f"{place}: {error}") from None
