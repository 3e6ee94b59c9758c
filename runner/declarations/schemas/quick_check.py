"""Says whether data fits a schema of `schema/`, without a word about what does not.

Nearly every file fits. To see that takes a tenth of the time that a check takes which can say why
not, and no library: jsonschema is loaded for data that does not fit.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

Fits = Callable[[Any], bool]

# They say nothing about what fits.
_NOTES = frozenset(
    "$schema $id title description default examples patternErrorMessage x-code writeOnly".split()
)
_TYPES: Mapping[str, Fits] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def quick_check(schema: Mapping[str, Any] | bool) -> Fits:
    """Return a function that says whether a value fits a schema without references.

    Raises:
        ValueError: The schema has a keyword that is not known here.
    """
    if isinstance(schema, bool):
        return lambda _value: schema
    checks: list[Fits] = []
    for keyword, rule in schema.items():
        if keyword in _KEYWORDS:
            checks.append(_KEYWORDS[keyword](rule))
        elif keyword not in (*_NOTES, *_OF_OBJECTS):
            raise ValueError(f"the keyword {keyword} is not known")
    if not schema.keys().isdisjoint(_OF_OBJECTS):
        checks.append(_entries(schema))
    return _all(checks)


def _all(checks: list[Fits]) -> Fits:
    if len(checks) == 1:
        return checks[0]

    def fits(value: Any) -> bool:
        # A loop, no generator: this is where the time goes.
        for check in checks:  # noqa: SIM110
            if not check(value):
                return False
        return True

    return fits


def _type(rule: str | list[str]) -> Fits:
    if isinstance(rule, str):
        return _TYPES[rule]
    kinds = [_TYPES[name] for name in rule]
    return lambda value: any(kind(value) for kind in kinds)


@cache
def _search(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).search


def _pattern(rule: str) -> Fits:
    # Compiled at its first use: a schema has patterns for keys that most documents lack.
    return lambda value: not isinstance(value, str) or _search(rule)(value) is not None


def _enum(rule: list[Any]) -> Fits:
    # True equals 1 in Python, not in JSON.
    known = [(isinstance(one, bool), one) for one in rule]
    return lambda value: (isinstance(value, bool), value) in known


def _length(least: bool) -> Callable[[int], Fits]:
    def of(rule: int) -> Fits:
        if least:
            return lambda value: not isinstance(value, str) or len(value) >= rule
        return lambda value: not isinstance(value, str) or len(value) <= rule

    return of


def _count(least: bool) -> Callable[[int], Fits]:
    def of(rule: int) -> Fits:
        if least:
            return lambda value: not isinstance(value, list) or len(value) >= rule
        return lambda value: not isinstance(value, list) or len(value) <= rule

    return of


def _minimum(rule: float) -> Fits:
    number = _TYPES["number"]
    return lambda value: not number(value) or not value < rule


def _maximum(rule: float) -> Fits:
    number = _TYPES["number"]
    return lambda value: not number(value) or not value > rule


def _items(rule: Any) -> Fits:
    each = quick_check(rule)
    return lambda value: not isinstance(value, list) or all(map(each, value))


def _unique(rule: bool) -> Fits:
    """Return the check of `uniqueItems` as the full check has it: of texts only."""

    def fits(value: Any) -> bool:
        if not rule or not isinstance(value, list):
            return True
        texts = [one for one in value if isinstance(one, str)]
        return len(set(texts)) == len(texts)

    return fits


def _any_of(rule: Iterable[Any]) -> Fits:
    branches = [quick_check(one) for one in rule]
    return lambda value: any(branch(value) for branch in branches)


def _one_of(rule: Iterable[Any]) -> Fits:
    branches = [quick_check(one) for one in rule]
    return lambda value: sum(branch(value) for branch in branches) == 1


def _not(rule: Any) -> Fits:
    refused = quick_check(rule)
    return lambda value: not refused(value)


def _required(rule: list[str]) -> Fits:
    names = frozenset(rule)
    return lambda value: not isinstance(value, dict) or value.keys() >= names


def _names(rule: Any) -> Fits:
    each = quick_check(rule)
    return lambda value: not isinstance(value, dict) or all(map(each, value))


_KEYWORDS: Mapping[str, Callable[[Any], Fits]] = {
    "type": _type,
    "pattern": _pattern,
    "enum": _enum,
    "minLength": _length(least=True),
    "maxLength": _length(least=False),
    "minItems": _count(least=True),
    "maxItems": _count(least=False),
    "minimum": _minimum,
    "maximum": _maximum,
    "items": _items,
    "uniqueItems": _unique,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "required": _required,
    "propertyNames": _names,
}
_OF_OBJECTS = ("properties", "patternProperties", "additionalProperties")


def _entries(schema: Mapping[str, Any]) -> Fits:
    """Return the check of a mapping's values, each by its key."""
    named = {key: quick_check(rule) for key, rule in schema.get("properties", {}).items()}
    others = quick_check(schema.get("additionalProperties", True))
    patterns = [
        (re.compile(pattern).search, quick_check(rule))
        for pattern, rule in schema.get("patternProperties", {}).items()
    ]

    def of_key(key: str, value: Any) -> bool:
        found = [check for search, check in patterns if search(key)]
        if key in named:
            found.append(named[key])
        return all(check(value) for check in found or [others])

    def fits(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        return all(of_key(key, part) for key, part in value.items())

    def fits_simply(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        return all(named.get(key, others)(part) for key, part in value.items())

    return fits if patterns else fits_simply
