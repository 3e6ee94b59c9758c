"""A named database that jobs read or write, as config.yaml describes it."""

from dataclasses import dataclass, field

# A statement that waits for a lock makes everybody wait who comes after it.
DEFAULT_LOCK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class NamedConnection:
    """One entry of `connections`.

    `lock_timeout_s` is how long a statement of a job may wait for a lock, 0 without an end; None
    leaves what the URL, role or database says, and is `DEFAULT_LOCK_TIMEOUT_S` where they say
    nothing. `timezone` None leaves the session's zone as role or database have it. The URL may
    hold a password: it is left out of `repr`.
    """

    url: str = field(repr=False)
    lock_timeout_s: float | None = None
    timezone: str | None = None
