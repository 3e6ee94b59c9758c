"""Bounds on what rendering one template may cost."""

import time
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import TemplateError

MAX_CHARACTERS = 1_000_000
MAX_ITERATIONS = 100_000
MAX_SECONDS = 2.0
MAX_WORK = 30_000_000
# Of the values that one rendering binds, all together.
MAX_BOUND = 64_000_000
# What the template itself consists of, inside its braces and around them.
MAX_TOKENS = 20_000


@dataclass(slots=True)
class Budget:
    """Budget that is left to one rendering, and the values that it has bound so far."""

    variables: Mapping[str, Any]
    iterations: int = MAX_ITERATIONS
    characters: int = MAX_CHARACTERS
    work: int = MAX_WORK
    # Of this thread's own work: a machine that is busy with others fails no template.
    deadline: float = field(default_factory=lambda: time.thread_time() + MAX_SECONDS)
    bound: int = MAX_BOUND
    binds: dict[str, Any] = field(default_factory=dict)

    def spend_iteration(self) -> None:
        """Count one turn of a loop or one call of a macro."""
        self.iterations -= 1
        if self.iterations < 0:
            raise TemplateError(f"loops run more than {MAX_ITERATIONS:,} times")
        if time.thread_time() > self.deadline:
            raise TemplateError(f"rendering takes longer than {MAX_SECONDS:g} s")

    def spend_characters(self, count: int) -> None:
        """Count output."""
        self.characters -= count
        if self.characters < 0:
            raise TemplateError(f"the result is longer than {MAX_CHARACTERS:,} characters")

    def spend_work(self, amount: int) -> None:
        """Count what is made, read or compared; and look at the clock."""
        self.work -= amount
        if self.work < 0:
            raise TemplateError(f"it creates values of more than {MAX_WORK:,} characters in total")
        if time.thread_time() > self.deadline:
            raise TemplateError(f"rendering takes longer than {MAX_SECONDS:g} s")

    def bind(self, value: Any, characters: int = 0) -> str:
        """Keep a value and return its name.

        Raises:
            TemplateError: With those before it is more than a statement should carry.
        """
        self.bound -= characters
        if self.bound < 0:
            raise TemplateError(
                f"the values of a statement take more than {MAX_BOUND:,} characters; load so much"
                " from a file"
            )
        name = f"p{len(self.binds) + 1}"
        self.binds[name] = value
        return name


_current: ContextVar[Budget] = ContextVar("headrace_template_budget")


def current() -> Budget:
    """Return the budget of the rendering that is under way."""
    return _current.get()


class rendering:  # noqa: N801 - read as what goes on in the block
    """A block in which one rendering has its budget."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._budget = Budget(variables)

    def __enter__(self) -> Budget:
        self._token = _current.set(self._budget)
        return self._budget

    def __exit__(self, *_raised: object) -> None:
        _current.reset(self._token)


def check_length(length: int) -> None:
    """Allow for a text or list of this length to be made.

    Raises:
        TemplateError: `length` is above the bound for a whole result, or too much has been
            made already.
    """
    if length > MAX_CHARACTERS:
        raise TemplateError(f"a value would be longer than {MAX_CHARACTERS:,}")
    current().spend_work(length)


def size(value: object) -> int:
    """Return the length of a text or collection, 1 for anything else."""
    return len(value) if isinstance(value, str | bytes | Collection) else 1
