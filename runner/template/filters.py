"""Filters that count what they make: Jinja's own would make it first."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from jinja2 import Undefined
from jinja2.filters import sync_do_map, sync_do_sum
from jinja2.runtime import Context
from jinja2.utils import pass_context

from headrace.errors import TemplateError
from headrace.model import exact_json
from headrace.template import budget
from headrace.template.measure import (
    bounded,
    check_characters,
    compared,
    made,
    round_number,
    text_of,
)
from headrace.template.spans import instant


def bounded_range(*limits: int) -> range:
    """`range` of at most as many numbers as a template may loop over."""
    numbers = range(*limits)
    if len(numbers) > budget.MAX_ITERATIONS:
        raise TemplateError(f"range is longer than {budget.MAX_ITERATIONS:,}")
    return numbers


@pass_context
def _made(_context: Context, value: Any) -> Any:
    return made(value)


@pass_context
def _compared(_context: Context, value: Any) -> Any:
    # Times of one zone are compared as instants: half past two that comes again is the later one.
    return compared(instant(value))


@pass_context
def _each(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        budget.current().spend_iteration()
        yield item


@pass_context
def _concat(context: Context, parts: list[Any]) -> str:
    return _join(context, parts)


@pass_context
def _join(context: Context, parts: Iterable[Any], separator: str = "") -> str:
    texts: list[str] = []
    length = 0
    for part in parts:
        budget.current().spend_iteration()
        texts.append(text_of(part))
        length += len(texts[-1]) + len(separator)
        budget.check_length(length)
    return separator.join(texts)


@pass_context
def _map(context: Context, items: Iterable[Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
    for item in sync_do_map(context, items, *args, **kwargs):
        budget.current().spend_iteration()
        budget.check_length(budget.size(item))
        yield item


@pass_context
def _sum(context: Context, items: Iterable[Any], attribute: str | None = None) -> Any:
    # Without a start value only numbers can be summed: lists would grow with every one.
    return sync_do_sum(context.environment, items, attribute)


@pass_context
def _replace(context: Context, text: Any, old: str, new: str) -> str:
    whole = text_of(text)
    budget.check_length(len(whole) + whole.count(old) * len(new))
    return whole.replace(old, new)


def _tojson(value: Any) -> str:
    """Return a value as JSON: a step's result inside a text, say."""
    if isinstance(value, Undefined):
        str(value)  # Raises, naming what is undefined.
    check_characters(value)
    text = exact_json.dumps(value, ensure_ascii=False, default=_jsonable)
    budget.check_length(len(text))
    return text


def _jsonable(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Iterable):
        items = list(value)
        budget.check_length(len(items))
        return items
    return text_of(value)


CONCAT = "bounded concat"  # With a space, so that no template can name them.
EACH = "bounded each"
MADE = "bounded collection"
COMPARED = "bounded comparison"
COUNTING = {
    "join": _join,
    "replace": _replace,
    "map": _map,
    "sum": _sum,
    "tojson": _tojson,
    "round": bounded(round_number),
    CONCAT: _concat,
    EACH: _each,
    MADE: _made,
    COMPARED: _compared,
}
