"""Calls a job's `handle` with the payload, as its signature takes it."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from headrace.model.job_parameters import VARIADIC


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
