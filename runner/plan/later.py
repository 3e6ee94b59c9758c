"""What can be known of a plan's values only once other steps have ended."""

import re
from collections.abc import Mapping
from typing import Any

from runner.model.plan import MOST_ITEMS

# A template that speaks of other steps' results, `{{ steps.load.result }}`, has no value yet.
_INSIDE = r"\{[{%](?:(?![}%]\}).)*?(?<![\w.'\"])"
_LATER = re.compile(rf"{_INSIDE}steps\s*[.\[]", re.DOTALL)
# Nor has one that speaks of how the run has ended, in a handler.
_LATER_IN_HANDLER = re.compile(rf"{_INSIDE}(?:steps\s*[.\[]|run\s*\.\s*status\b)", re.DOTALL)


def later_templates(handler: str | None) -> re.Pattern[str]:
    """Return what finds templates that have no value before other steps have ended."""
    return _LATER if handler is None else _LATER_IN_HANDLER


def speaks_later(value: Any, handler: str | None) -> bool:
    """Tell whether a value holds a template that has no value before other steps have ended."""
    if isinstance(value, Mapping):
        return any(speaks_later(item, handler) for item in value.values())
    if isinstance(value, list | tuple):
        return any(speaks_later(item, handler) for item in value)
    return isinstance(value, str) and later_templates(handler).search(value) is not None


def fault_of_items(items: Any) -> str | None:
    """Return why a foreach cannot run over this, or None."""
    if not isinstance(items, list | tuple):
        return f"{items!r:.80} is no list"
    return f"{len(items)}, more than {MOST_ITEMS}" if len(items) > MOST_ITEMS else None
