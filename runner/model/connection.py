"""A named database that jobs read or write, as config.yaml describes it."""

from dataclasses import dataclass, field

# A statement that waits for a lock makes everybody wait who comes after it.
DEFAULT_LOCK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class NamedConnection:
    """One entry of `connections`.

    `lock_timeout_s` is how long a statement of a job may wait for a lock, 0 without an end; None
    leaves what the URL, role or database says, and is `DEFAULT_LOCK_TIMEOUT_S` where they say
    nothing. `statement_timeout_s` is the same for a statement; `timezone` and `search_path` None
    leave what role or database have. `role` is the one that jobs work as, None for the one that
    logs in; the ledger is written by the latter. The URL may hold a password: it is left out of
    `repr`.
    """

    url: str = field(repr=False)
    lock_timeout_s: float | None = None
    timezone: str | None = None
    statement_timeout_s: float | None = None
    role: str | None = None
    search_path: tuple[str, ...] | None = None
