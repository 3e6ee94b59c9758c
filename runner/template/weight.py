"""What a value weighs, to its depth: texts that a list refers to a thousand times count as often.

A short template can put lists into lists, each twice the one before, or refer to one long text
again and again. Nothing is copied by that; all of it is as soon as the value is written out,
sorted or compared. So values are weighed before something is done with all that is in them.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from runner.errors import TemplateError
from runner.template import budget

_DEEPEST = 100
_MOST_DIGITS = 400


def weight(value: Any, most: int = budget.MAX_WORK) -> int:
    """Return the characters and entries in a value, at most about `most`: no further is looked.

    Raises:
        TemplateError: it has more entries, or more levels, than anything that is written out.
    """
    if isinstance(value, str | bytes):
        return len(value)
    total, entries, levels = 0, 0, [iter((value,))]
    while levels and total <= most:
        item = next(levels[-1], _END)
        if item is _END:
            levels.pop()
            continue
        entries += 1
        total += 1
        if isinstance(item, str | bytes):
            total += len(item)
        elif isinstance(item, list | tuple | set | frozenset):
            levels.append(iter(item))
        elif isinstance(item, dict):
            levels.append(_of_mapping(item))
        if entries > budget.MAX_CHARACTERS:
            raise TemplateError(f"a value has more than {budget.MAX_CHARACTERS:,} entries")
        if len(levels) > _DEEPEST:
            raise TemplateError(f"a value is nested deeper than {_DEEPEST} levels")
    return total


_END = object()


def _of_mapping(item: Mapping[Any, Any]) -> Iterator[Any]:
    for pair in item.items():
        yield from pair


def spend(value: Any) -> None:
    """Allow for all that is in a value to be gone through or copied.

    Raises:
        TemplateError: too much has been, with this.
    """
    budget.current().spend_work(weight(value))


def check_text(value: Any) -> None:
    """Allow for a value to be written out as text.

    Raises:
        TemplateError: the text would be too long.
    """
    if not isinstance(value, str | int | float):
        budget.check_length(weight(value, budget.MAX_CHARACTERS))


def weighed(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter of Jinja that is charged for all that is in its value."""
    place = 1 if hasattr(filter_, "jinja_pass_arg") else 0

    @wraps(filter_)
    def charged(*args: Any, **kwargs: Any) -> Any:
        if len(args) > place and isinstance(args[place], str | bytes | Mapping | list | tuple):
            spend(args[place])
        return filter_(*args, **kwargs)

    return charged


def on_text(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that makes a text of its value, whatever that is, checked first."""

    @wraps(filter_)
    def checked(value: Any, *args: Any, **kwargs: Any) -> Any:
        check_text(value)
        return filter_(value, *args, **kwargs)

    return checked


def bounded_round(round_: Callable[..., Any]) -> Callable[..., Any]:
    """Return `round` for a precision that numbers have: Jinja raises ten to its power."""

    @wraps(round_)
    def bounded(value: Any, precision: Any = 0, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(precision, int) or abs(precision) > _MOST_DIGITS:
            raise TemplateError(f"round takes up to {_MOST_DIGITS} digits, not {precision!r:.40}")
        return round_(value, precision, *args, **kwargs)

    return bounded
