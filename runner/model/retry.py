"""Retry policy: the number of retries, and the waits before them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retries of one job.

    `limit` counts retries, not attempts: 3 means at most 4 attempts. The waits are
    `intervals_s` where given (the last one repeats), else `delay_s * factor**n` up to
    `max_delay_s`. With `jitter` a wait is drawn evenly from zero up to that value.

    `when` says which errors are worth a retry: classes by name, or a regular expression that
    is searched in the error's text; None means all.
    """

    limit: int = 3
    delay_s: float = 60.0
    factor: float = 5.0
    max_delay_s: float = 900.0
    jitter: bool = False
    intervals_s: tuple[float, ...] | None = None
    when: tuple[str, ...] | str | None = None
