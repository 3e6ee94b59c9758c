"""Finds each departure of data from a schema, by jsonschema; loaded where there is one."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from headrace.declarations.schemas.files import inlined
from headrace.declarations.schemas.finding_text import Departure, worded


@cache
def _validator(name: str) -> Any:
    return _Validator(inlined(name))


def _unique(_: Any, unique: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
    """Report each text of a list that is already there.

    The library's own check takes the square of the list's length, and has no place.
    """
    seen = set()
    for index, item in enumerate(instance if unique and isinstance(instance, list) else ()):
        if isinstance(item, str) and item in seen:
            yield ValidationError(f"{item} is already there", path=[index])
        if isinstance(item, str):
            seen.add(item)


_Validator: Any = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"uniqueItems": _unique}
)


def full_check(data: Any, name: str) -> Iterator[Departure]:
    """Yield how the data departs from a schema, each departure once."""
    seen = set()
    for error in _validator(name).iter_errors(data):
        for found in worded(error, data):
            if found not in seen:
                seen.add(found)
                yield found
