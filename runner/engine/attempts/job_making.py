"""Makes the job of an attempt, or reports that the worker's job files cannot make it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from headrace.engine.attempts.error_text import plain_text
from headrace.engine.catalog.job_registry import Registry
from headrace.errors import InvalidPayload, UnknownJobClass

# What a constructor raises when it is given what it does not take.
_OF_ARGUMENTS = (TypeError, ValueError, LookupError, AttributeError, NameError, AssertionError)


class NotMade(Exception):
    """What the job files of this worker cannot make; other workers may have other files."""


class ClassNotMade(NotMade, UnknownJobClass):
    """The job's class is unknown here. Nothing of the job has run."""


class ArgumentsNotMade(NotMade, InvalidPayload):
    """The job's class does not accept its arguments here. Nothing of the job has run."""


@contextmanager
def class_may_be_unknown() -> Iterator[None]:
    """Turn an unknown class into one that the job files of this worker do not have.

    Raises:
        ClassNotMade: As its message says.
    """
    try:
        yield
    except UnknownJobClass as error:
        raise ClassNotMade(str(error)) from error


def job_of(registry: Registry, job_class: str, payload: dict[str, Any]) -> Any:
    """Return the job. What its constructor makes of its arguments, it makes of them again.

    Raises:
        ClassNotMade, ArgumentsNotMade: As their messages say.
    """
    try:
        return registry.make(job_class, payload)
    except UnknownJobClass as error:
        raise ClassNotMade(str(error)) from error
    except InvalidPayload as error:
        raise ArgumentsNotMade(str(error)) from error
    except _OF_ARGUMENTS as error:
        told = f"{type(error).__name__}: {plain_text(error)}"
        raise ArgumentsNotMade(f"{job_class} does not accept its arguments: {told}") from error
