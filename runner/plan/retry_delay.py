"""Computes the wait before a failed job is retried."""

import re
from collections.abc import Callable, Collection

from headrace.model.retry import RetryPolicy


def retry_delay_s(policy: RetryPolicy, failures: int, random: Callable[[], float]) -> float:
    """Return the wait before the next attempt, in seconds.

    `policy.intervals_s` counts where it is given, its last one again and again. Otherwise the
    wait grows by `policy.factor` with each failure, capped at `policy.max_delay_s`: 60, 300,
    900 s by default. With `policy.jitter` it is multiplied by `random()`, which is to return
    a number from 0 to 1 (full jitter).

    Raises:
        ValueError: `failures` is below 1.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if failures < 1:
        raise ValueError(f"a retry follows at least one failure, not {failures}")
    if policy.intervals_s:
        delay_s = policy.intervals_s[min(failures, len(policy.intervals_s)) - 1]
    else:
        delay_s = min(_grown_s(policy, failures), policy.max_delay_s)
    return delay_s * random() if policy.jitter else delay_s


def is_worth_a_retry(policy: RetryPolicy, kinds: Collection[str], error: str) -> bool:
    """Return whether the policy retries after an error: by `kinds`, its classes, or by its text."""
    if policy.when is None:
        return True
    if isinstance(policy.when, str):
        return re.search(policy.when, error) is not None
    return not set(policy.when).isdisjoint(kinds)


def _grown_s(policy: RetryPolicy, failures: int) -> float:
    try:
        return policy.delay_s * policy.factor ** (failures - 1)
    except OverflowError:
        return policy.max_delay_s
