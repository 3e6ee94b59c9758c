"""The types of parameters: how a value is read and what it must satisfy."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from headrace.errors.shortened import shortened
from headrace.errors.spelling import OTHERWISE, written_otherwise
from headrace.model import exact_json
from headrace.model.moments import on_clock
from headrace.model.pipeline import Param
from headrace.model.storable import is_finite, unstorable

_INTEGER = re.compile(r"[+-]?[0-9]{1,400}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def read(type_name: str, value: Any, zone: str | tzinfo = UTC) -> Any:
    """Return `value` as the declared type; a text is read by it.

    Times without an offset are on the clock of `zone`.

    Raises:
        ValueError: the value is of another type; the message says which one is expected.
    """
    if type_name not in READERS:
        raise ValueError(f'has the unknown type "{type_name}": {", ".join(READERS)}')
    read_value = READERS[type_name](value)
    fault = _fault_of(read_value)
    if fault:
        raise ValueError(f"cannot be stored: {fault}")
    return on_clock(read_value, zone) if type_name == "datetime" else read_value


def _fault_of(value: Any) -> str | None:
    try:
        return unstorable(value)
    except RecursionError:
        return "it is nested too deeply"


def violations(param: Param, value: Any, zone: str | tzinfo = UTC) -> list[str]:
    """Return which of the parameter's enum, pattern, min and max a read value breaks.

    Times among these without an offset are on the clock of `zone`.
    """
    return list(_violations(param, value, zone))


def _violations(param: Param, value: Any, zone: str | tzinfo) -> Iterator[str]:
    if param.enum is not None:
        typed = param.type != "list"
        allowed = [read(param.type, item, zone) if typed else item for item in param.enum]
        wrong = [v for v in (value if isinstance(value, list) else [value]) if v not in allowed]
        if wrong:
            same = [f"; {one} {OTHERWISE}" for one in allowed if _looks_the_same(wrong[0], one)]
            listed = ", ".join(map(str, allowed))
            yield f"is {_shown(wrong[0])}, not one of {listed}{''.join(same[:1])}"
    if param.pattern is not None and isinstance(value, str):
        try:
            if not re.fullmatch(param.pattern, value):
                yield f"is {_shown(value)}, which does not match the pattern {param.pattern}"
        except re.error as error:
            yield f"has a pattern that is not a regular expression: {error}"
    yield from _bounds(param, value, zone)


def _looks_the_same(one: Any, other: Any) -> bool:
    return isinstance(one, str) and isinstance(other, str) and written_otherwise(one, other)


def _bounds(param: Param, value: Any, zone: str | tzinfo) -> Iterator[str]:
    sized = isinstance(value, str | list)
    measured = len(value) if sized else value
    what = "has the length" if sized else "is"
    low, high = (
        bound if sized or bound is None else read(param.type, bound, zone)
        for bound in (param.min, param.max)
    )
    if low is not None and measured < low:
        yield f"{what} {measured}, less than its min of {low}"
    if high is not None and measured > high:
        yield f"{what} {measured}, more than its max of {high}"


def _expected(what: str, value: Any) -> ValueError:
    return ValueError(f"is {_shown(value)}, not {what}")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return shortened(text)


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _expected("a string", value)


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    raise _expected("an integer", value)


def _number(value: Any) -> int | float | Decimal:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        text = value.strip()
        with suppress(ValueError):
            value = int(text) if _INTEGER.fullmatch(text) else exact_json.number(text)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float | Decimal) and is_finite(value):
        return value
    raise _expected("a number", value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _expected("a boolean: true or false", value)


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        # On its own clock: see `run_variables` for why the logical date carries one.
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        try:
            return date.fromisoformat(value.strip())
        except ValueError:
            raise _expected("a date: no such day", value) from None
    raise _expected("a date as in 2025-01-31", value)


def _datetime(value: Any) -> datetime:
    if isinstance(value, str) and _DATE.match(value.strip()):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise _expected("a datetime as in 2025-01-31T06:00:00+01:00", value) from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        return value
    raise _expected("a datetime as in 2025-01-31T06:00:00+01:00", value)


def _list(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            return list(exact_json.loads(value))
        except (ValueError, RecursionError):
            raise _expected("a list in JSON", value) from None
    if isinstance(value, str):
        return [item.strip() for item in value.split(",")] if value.strip() else []
    raise _expected("a list", value)


READERS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "list": _list,
}
