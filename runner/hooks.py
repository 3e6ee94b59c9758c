"""Registers a project's own functions around each attempt of a job.

    from headrace.hooks import after_attempt, before_attempt, on_failure

`hooks` in config.yaml names the modules whose functions a worker loads when it starts.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

Moment = Literal["before_attempt", "on_failure", "after_attempt"]


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """One attempt of a job, as a hook is told of it; changing it changes nothing else.

    `status` is the job's: `started` before the attempt, then `completed`, `retrying` (another
    attempt follows) or `failed`. `result` is what a completed job has returned, as it was stored;
    `error` says why it has failed. `duration_s` is the time from the start of `handle` until its
    end was recorded, in seconds; None before. `pipeline`, `step` and `run_id` are None for a job
    that belongs to no run.
    """

    job_id: str
    job_class: str
    attempt: int
    queue: str
    status: str
    run_id: str | None = None
    pipeline: str | None = None
    step: str | None = None
    result: Any = None
    error: str | None = None
    duration_s: float | None = None


Hook = Callable[[AttemptInfo], object]
_Function = TypeVar("_Function", bound=Hook)

# By name, so that a module which is loaded twice registers its functions once.
_registered: dict[tuple[Moment, str], Hook] = {}


def before_attempt(function: _Function) -> _Function:
    """Have the function called before a job's code starts. It cannot refuse the attempt."""
    return _register("before_attempt", function)


def after_attempt(function: _Function) -> _Function:
    """Have the function called after the end of an attempt was recorded, whatever the end."""
    return _register("after_attempt", function)


def on_failure(function: _Function) -> _Function:
    """Have the function called after the failure of an attempt was recorded."""
    return _register("on_failure", function)


def registered(*moments: Moment) -> list[Hook]:
    """Return the functions of these moments, in the order in which they were registered."""
    if not _registered:
        return []
    return [hook for (moment, _), hook in _registered.items() if moment in moments]


def name_of(hook: Hook) -> str:
    """Return a function's name with its module."""
    module = getattr(hook, "__module__", None) or "?"
    return f"{module}.{getattr(hook, '__qualname__', type(hook).__qualname__)}"


def forget(hooks: Iterable[Hook]) -> None:
    """Take functions off the list again, for tests."""
    gone = list(hooks)
    for key, hook in list(_registered.items()):
        if hook in gone:
            del _registered[key]


def _register(moment: Moment, function: _Function) -> _Function:
    _registered[moment, name_of(function)] = function
    return function
