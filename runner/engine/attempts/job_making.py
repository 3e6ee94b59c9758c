"""Makes the job of an attempt, and says so if its class does not accept what it is given."""

from typing import Any

from headrace.engine.attempts.error_text import plain_text
from headrace.engine.catalog.job_registry import Registry
from headrace.errors import InvalidPayload

# What a constructor raises when it is given what it does not take.
_OF_ARGUMENTS = (TypeError, ValueError, LookupError, AttributeError, NameError, AssertionError)


def job_of(registry: Registry, job_class: str, payload: dict[str, Any]) -> Any:
    """Return the job. What its constructor makes of its arguments, it makes of them again.

    Raises:
        UnknownJobClass, InvalidPayload: As their messages say.
    """
    try:
        return registry.make(job_class, payload)
    except _OF_ARGUMENTS as error:
        told = f"{type(error).__name__}: {plain_text(error)}"
        raise InvalidPayload(f"{job_class} does not accept its arguments: {told}") from error
