"""Measures the values of a template, with all that they contain, and guards filters by it."""

from collections.abc import Callable, Iterator
from datetime import date, time
from functools import wraps
from typing import Any

from jinja2.filters import do_round
from jinja2.utils import Namespace

from headrace.errors import TemplateError
from headrace.template import budget

# What an element takes beside its text, in a list that is written out.
_AROUND = 2
_MOST_PRECISION = 100
# What most elements are; the question which kind something is costs more than all the rest.
_WITHOUT_PARTS = frozenset({int, float, bool, type(None)})


def characters(value: Any, most: int = budget.MAX_WORK) -> int:
    """Return about how many characters a value takes where it is written out.

    What is held several times counts as often: `[text] * 1000` is a thousand texts, and lists of
    lists of lists grow with every level. Where it is more than `most`, so is the answer, but
    counting has stopped there.

    Raises:
        TemplateError: It is more than any template may make.
    """
    if isinstance(value, str | bytes):
        return len(value)
    counted = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        counted += _AROUND
        kind = type(one)
        if kind is str:
            counted += len(one)
        elif kind is list or kind is tuple:
            waiting += one
        elif kind not in _WITHOUT_PARTS:
            counted += _other_characters(one, waiting)
        if counted + len(waiting) > most:
            break
    if counted + len(waiting) > budget.MAX_WORK:
        raise TemplateError(
            f"it creates values of more than {budget.MAX_WORK:,} characters in total"
        )
    return counted + len(waiting)


def _other_characters(one: Any, waiting: list[Any]) -> int:
    """Return what an element of a rarer kind takes itself, and add its parts to `waiting`."""
    if isinstance(one, str | bytes):
        return len(one)
    if isinstance(one, dict):
        waiting += [*one.keys(), *one.values()]
    elif isinstance(one, list | tuple | set | frozenset):
        waiting += one
    elif isinstance(one, Namespace):
        raise TemplateError("a namespace has no text; write one of its attributes")
    return 0


def check_characters(value: Any) -> None:
    """Allow for a value to be made, or written out.

    Raises:
        TemplateError: It takes more than a whole result may, or too much has been made already.
    """
    budget.check_length(characters(value, budget.MAX_CHARACTERS))


def made(value: Any) -> Any:
    """Count a list or mapping that a template has put together, and return it."""
    if isinstance(value, list | tuple | dict):
        check_characters(value)
    return value


def compared(value: Any) -> Any:
    """Count what is to be compared, element by element, and return it."""
    if isinstance(value, str | bytes | list | tuple | dict):
        budget.current().spend_work(characters(value))
    return value


def text_of(value: Any) -> str:
    """Return a value as it appears inside a text: dates and times in ISO 8601."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list | tuple | dict | set | Namespace):
        check_characters(value)
    return str(value)


def bounded(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return one of Jinja's filters that spends what it is given, and what it makes."""
    place = 1 if hasattr(plain, "jinja_pass_arg") else 0

    @wraps(plain)
    def _filter(*args: Any, **options: Any) -> Any:
        compared(args[place])
        result = plain(*args, **options)
        if isinstance(result, Iterator):
            return _counted(result)
        budget.current().spend_work(budget.size(result))
        return result

    return _filter


def round_number(value: float, precision: Any = 0, method: str = "common") -> Any:
    """Round as Jinja does, to no more places than a number can have.

    Raises:
        TemplateError: The places, or the method, are out of reason.
    """
    if not isinstance(precision, int) or abs(precision) > _MOST_PRECISION:
        raise TemplateError(f"round takes from -{_MOST_PRECISION} to {_MOST_PRECISION} places")
    return do_round(value, precision, method)  # type: ignore[arg-type]


def _counted(items: Iterator[Any]) -> Iterator[Any]:
    for item in items:
        budget.current().spend_work(1)
        yield item
