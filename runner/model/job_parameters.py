"""Reads from a job class which keys `with` may hold: its constructor's parameters.

A constructor that takes `**kwargs` and passes them on takes what the class above it takes, less
what it gives itself: `super().__init__(path="orders.csv", **kwargs)` leaves no `path` to give.
What a constructor passes on stands in its source only, so that is where it is read.
"""

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from headrace.errors.suggestions import did_you_mean
from headrace.model.duration import format_duration
from headrace.model.passed_on import Passed, passed_on

VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_MARK = "defaults_of_class"

Finding = tuple[tuple[str | int, ...], str, str, str]
"""(keys below `with` that lead to what is wrong, code, message, hint)"""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a job class; `type` is None where the class does not say."""

    name: str
    type: Any
    required: bool
    default: Any


def parameters_of(cls: type) -> Mapping[str, Parameter]:
    """Return the parameters of a class by name: its own first, then those it passes on."""
    return _remembered(cls)


@lru_cache(maxsize=1024)
def _remembered(cls: Any) -> Mapping[str, Parameter]:
    return _read(cls)


def _read(cls: type) -> Mapping[str, Parameter]:
    found: dict[str, Parameter] = {}
    given = _Given()
    for owner in cls.__mro__:
        init = vars(owner).get("__init__")
        if init is None or owner is object:
            continue
        given.defaults = {**getattr(init, _MARK, {}), **given.defaults}
        if _is_inherited(init, owner):
            continue
        init = inspect.unwrap(init)
        taken = list(inspect.signature(init).parameters.values())[1:]
        given.accept_positional(taken)
        for parameter in taken:
            if parameter.kind not in (*VARIADIC, inspect.Parameter.POSITIONAL_ONLY):
                one = given.parameter(parameter, init)
                if one is not None:
                    found.setdefault(one.name, one)
        rest = [one.name for one in taken if one.kind is inspect.Parameter.VAR_KEYWORD]
        passed = passed_on(init, rest[0]) if rest else None
        if passed is None:
            break
        for name, required in passed.popped.items():
            found.setdefault(name, Parameter(name, None, required, None))
        if not passed.forwards:
            break
        given.note(passed)
    return found


def _is_inherited(init: Callable[..., Any], owner: type) -> bool:
    """Return whether a constructor is one from above that only has its defaults from `owner`."""
    behind = getattr(init, "__wrapped__", None)
    above = [vars(one).get("__init__") for one in owner.__mro__[1:]]
    return hasattr(init, _MARK) and behind in above


class _Given:
    """Return the arguments that constructors of subclasses pass to their parents."""

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}
        self._fixed: set[str] = set()
        self._optional: set[str] = set()
        self._positional = 0
        self._anything = False

    def accept_positional(self, taken: list[inspect.Parameter]) -> None:
        names = [one.name for one in taken if one.kind in _POSITIONAL]
        self._fixed.update(names[: self._positional])
        self._positional = 0

    def note(self, passed: Passed) -> None:
        self._fixed |= passed.fixed
        self._optional |= passed.optional
        self._positional = passed.positional
        self._anything = self._anything or passed.anything

    def parameter(self, one: inspect.Parameter, init: Callable[..., Any]) -> Parameter | None:
        """Return a parameter as it is left to be given, None where it is not."""
        if one.name in self._fixed:
            return None
        hint = _hint(init, one)
        if one.name in self.defaults:
            return Parameter(one.name, hint, False, self.defaults[one.name])
        if one.default is not one.empty:
            return Parameter(one.name, hint, False, one.default)
        required = not (self._anything or one.name in self._optional)
        return Parameter(one.name, hint, required, None)


def _hint(init: Callable[..., Any], one: inspect.Parameter) -> Any:
    """Return the hint of a parameter, None where it has none that can be read."""
    if one.annotation is one.empty:
        return None
    alone = SimpleNamespace(__annotations__={one.name: one.annotation})
    names = getattr(init, "__globals__", {})
    try:
        hint = typing.get_type_hints(alone, names, include_extras=True)[one.name]
    except Exception:  # noqa: BLE001 - a user's annotation may name anything
        return None
    # `day: date = None` is how many write that it may be left out.
    return hint | None if one.default is None and isinstance(hint, type) else hint


def accept_class_defaults(cls: Any) -> None:
    """Let `path = "orders.csv"` in a class's body be the default of the parameter `path`.

    It is given to the constructor where `with` leaves it out. Where it would hide something of
    the classes above, as a method `sql`, it is taken out of the class.
    """
    written = {
        name: value
        for name, value in vars(cls).items()
        if not name.startswith("_") and not hasattr(value, "__get__")
    }
    if not written or not any(name in _names(cls) for name in written):
        return
    known = _read(cls)
    defaults = {name: value for name, value in written.items() if name in known}
    if not defaults:
        return
    for name in defaults:
        if any(name in vars(above) for above in cls.__mro__[1:]):
            delattr(cls, name)
    cls.__init__ = _with_defaults(cls.__init__, defaults)


def _names(cls: type) -> Iterator[str]:
    for owner in cls.__mro__:
        init = vars(owner).get("__init__")
        if init is not None and owner is not object:
            yield from inspect.signature(init).parameters


def _with_defaults(init: Callable[..., None], defaults: Mapping[str, Any]) -> Callable[..., None]:
    taken = list(inspect.signature(init).parameters.values())[1:]
    positional = [one.name for one in taken if one.kind in _POSITIONAL]

    def filled(self: Any, *values: Any, **given: Any) -> None:
        by_place = positional[: len(values)]
        rest = {name: value for name, value in defaults.items() if name not in by_place}
        init(self, *values, **{**rest, **given})

    filled.__wrapped__ = init  # type: ignore[attr-defined]
    filled.__doc__ = init.__doc__
    setattr(filled, _MARK, dict(defaults))
    return filled


def refused_names(
    job: str, cls: type, names: Iterable[str], *, anything: bool
) -> Sequence[Finding]:
    """Return what is wrong with the names of arguments that are unknown or missing.

    With `anything` the class takes keys of whatever name.
    """
    given = tuple(names)
    if not all(isinstance(name, str) for name in given):
        return tuple(_refused_names(job, cls, given, anything=anything))
    return _remembered_refusals(job, cls, given, anything)


@lru_cache(maxsize=1024)
def _remembered_refusals(
    job: str, cls: type, names: tuple[str, ...], anything: bool
) -> Sequence[Finding]:
    return tuple(_refused_names(job, cls, names, anything=anything))


def _refused_names(
    job: str, cls: type, with_: tuple[str, ...], *, anything: bool
) -> Iterator[Finding]:
    known = parameters_of(cls)
    if not anything:
        for key in with_:
            if key not in known:
                message = f'{job} has no parameter "{key}"'
                yield (
                    (key,),
                    "unknown-parameter",
                    message,
                    did_you_mean(str(key), known, listed_as="it takes"),
                )
    for name, parameter in known.items():
        if parameter.required and name not in with_:
            yield (), "missing-parameter", f'{job} needs the parameter "{name}"', ""


def written(value: Any) -> Any:
    """Return a value as JSON and YAML write it, the other way round than it is read."""
    if isinstance(value, Enum):
        return written(value.value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return format_duration(value.total_seconds())
    if isinstance(value, Path | UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {key: written(part) for key, part in value.items()}
    if isinstance(value, list | tuple | Set):
        return [written(part) for part in value]
    return value


def stored(value: Any) -> Any:
    """Return what stands in a row's JSON for an argument that JSON has no form for.

    What a worker reads there by the parameter's hint is what was given.
    """
    found = value if isinstance(value, date) else written(value)
    return str(value) if found is value else found
