"""A job's payload: what is refused of it, and `handle` called with it as its signature has it."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from headrace.errors import InvalidPayload
from headrace.model import exact_json
from headrace.model.job_parameters import VARIADIC, refused_names
from headrace.model.storable import unstorable


def with_payload(handle: Callable[..., Any]) -> Callable[[Any], Any]:
    """Let `handle(self, args, **kwargs)` be called as `handle()`: it is given the payload."""
    taken = list(inspect.signature(handle).parameters.values())[1:]
    positional = any(p.kind not in VARIADIC for p in taken)

    @wraps(handle)
    def called(self: Any, *given: Any, **named: Any) -> Any:
        if given or named:  # A class that builds on this one hands its own on.
            return handle(self, *given, **named)
        first = [self.payload] if positional else []
        return handle(self, *first, **(self.payload if accepts_any(handle) else {}))

    return called


def accepts_any(function: Any) -> bool:
    """Return whether a function takes keys that it does not name."""
    taken = inspect.signature(function).parameters.values()
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken)


def check_payload(cls: Any, payload: Mapping[str, Any]) -> None:
    """Refuse parameters that the class does not take, misses, or that JSON cannot hold.

    Raises:
        InvalidPayload: naming the parameter.
    """
    refuse_names(cls, payload)
    refuse_unstorable(cls, payload)


def refuse_unstorable(cls: Any, payload: Mapping[str, Any]) -> None:
    """Refuse parameters that a row cannot hold.

    Raises:
        InvalidPayload: saying what JSON, or PostgreSQL, has no form for.
    """
    try:
        exact_json.dumps(payload, allow_nan=False)
        fault = next((told for told in map(unstorable, payload.values()) if told), None)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidPayload(f"the parameters of {cls.__name__} do not fit JSON: {error}") from None
    if fault:
        raise InvalidPayload(f"the parameters of {cls.__name__} cannot be stored: {fault}")


def refuse_names(cls: Any, payload: Mapping[str, Any]) -> None:
    """Refuse parameters that the class does not take or misses.

    Raises:
        InvalidPayload: naming the parameter.
    """
    found = refused_names(cls.__name__, cls, payload, anything=cls.any_parameters)
    for _keys, _code, message, hint in found:
        raise InvalidPayload(f"{message}; {hint}" if hint else message)
