"""Holds JSON values against type hints, by pydantic: what `argument_types` does not see at once.

pydantic is strict here: "5" is no number, true is not 1. What JSON has no form for is read by
types of our own: a date, a time, a duration (`5m`), a Decimal. A text with a template in it fits
any hint until it has been rendered.
"""

import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any

from pydantic import (
    Field,
    PlainValidator,
    Strict,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.errors import PydanticUserError

from headrace.model.duration import PATTERN, parse_duration_s
from headrace.model.mismatch import IsTemplate, KeyPath, Mismatch
from headrace.model.paramtypes import read

_DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def fit_typed(value: Any, hint: Any, is_template: IsTemplate | None) -> Any:
    """Return a JSON value as its hint has it; see `fit`.

    Raises:
        Mismatch: it does not fit.
    """
    adapter = _adapter(hint)
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value, context=is_template)
    except ValidationError as error:
        raise _mismatch(value, error) from None


def schema_of(hint: Any, definitions: str = "#/$defs/{model}") -> dict[str, Any]:
    """Return the JSON Schema of a hint; empty, which takes anything, where there is none."""
    adapter = _adapter(hint)
    return {} if adapter is None else adapter.json_schema(ref_template=definitions)


# -- types --------------------------------------------------------------------------------


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value  # A whole number stays one: a float has not all of its digits.
    raise ValueError("no number")


def _digits(value: Any) -> Any:
    return value if isinstance(value, Decimal) else _number(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("no number")
    text = value.strip() if isinstance(value, str) else repr(value)
    return _DECIMALS.validate_python(text)


_DECIMALS: TypeAdapter[Decimal] = TypeAdapter(Annotated[Decimal, Field(allow_inf_nan=False)])


def _date(value: Any) -> date:
    found: date = read("date", value)
    return found


def _datetime(value: Any) -> datetime:
    found: datetime = read("datetime", value)
    return found


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("no duration")
    return timedelta(seconds=parse_duration_s(value.strip()))


def _or_template(
    value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo[IsTemplate | None]
) -> Any:
    if info.context is not None and info.context(value):
        return value
    return handler(value)


_OR_TEMPLATE = WrapValidator(_or_template)


def _ours(kind: Any, reader: Callable[[Any], Any], in_json: Any) -> Any:
    return Annotated[kind, PlainValidator(reader, json_schema_input_type=in_json)]


_DIGITS = _ours(float, _digits, float)


def _text(**more: Any) -> Any:
    return Annotated[str, Field(json_schema_extra=more)]


_TYPES: dict[Any, Any] = {
    str: Annotated[str, Strict()],
    int: Annotated[int, Strict()],
    bool: Annotated[bool, Strict()],
    float: _ours(float, _number, float),
    Decimal: _ours(Decimal, _decimal, float | _text(pattern=_DECIMAL)),
    date: _ours(date, _date, _text(format="date")),
    datetime: _ours(datetime, _datetime, _text(format="date-time")),
    timedelta: _ours(timedelta, _duration, _text(pattern=PATTERN)),
}


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    if hint is None or hint is Any:
        return None
    # By its text, too: a union is equal to that of another order.
    return _adapter_of(hint, repr(hint))


@lru_cache(maxsize=1024)
def _adapter_of(hint: Any, _text: str) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(_typed(hint))
    except (PydanticUserError, TypeError, NameError):
        return None  # A class that JSON has no form for: its constructor judges.


def _typed(hint: Any) -> Any:
    """Return a hint with its parts strict, each of them open to templates."""
    if hint is str:
        return _TYPES[str]  # It takes templates as it is, and needs no call of Python.
    return Annotated[_strict(hint), _OR_TEMPLATE]


def _strict(hint: Any) -> Any:
    if hint in _TYPES:
        return _TYPES[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return Annotated[(_strict(arguments[0]), *hint.__metadata__)]
    if origin in (typing.Union, types.UnionType):
        if str in arguments and float in arguments:
            # What is written as text keeps the digits that no float has.
            arguments = tuple(_DIGITS if one is float else one for one in arguments)
        either = reduce(or_, map(_typed, arguments))
        # In the order that is written: "text or a date" is a text.
        return Annotated[either, Field(union_mode="left_to_right")]
    of_many: Any = origin if isinstance(origin, type) else None
    if of_many is not None and issubclass(of_many, Mapping):
        key, value = arguments
        return of_many[Any if key is str else key, _typed(value)]
    if of_many is not None and issubclass(of_many, Iterable):
        return of_many[tuple(one if one is ... else _typed(one) for one in arguments)]
    return hint


# What says no more than that the type is another one.
_OF_TYPE = ("_type", "_parsing", "_error", "enum")


def _mismatch(value: Any, error: ValidationError) -> Mismatch:
    """Return what is told of pydantic's errors: of the part of a union that got furthest."""
    told = error.errors(include_url=False, include_input=False)
    deepest = max(told, key=lambda one: len(_path(value, one["loc"])))
    of_type = deepest["type"].endswith(_OF_TYPE)
    rule = "" if of_type or len(told) > 1 else deepest["msg"].lower().removeprefix("input ")
    return Mismatch(_path(value, deepest["loc"]), rule)


def _path(value: Any, loc: Sequence[str | int]) -> KeyPath:
    """Return the keys of a location; the names of a union's parts are none."""
    found: list[str | int] = []
    for key in loc:
        in_list = isinstance(value, list | tuple) and isinstance(key, int) and key < len(value)
        if in_list or (isinstance(value, Mapping) and key in value):
            value = value[key]
            found.append(key)
    return tuple(found)
