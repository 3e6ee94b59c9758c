"""Retry policies and timeouts as callers write them, and as rows keep them."""

import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import lru_cache
from typing import Any

from headrace.errors import InvalidPayload
from headrace.model.duration import parse_duration_s
from headrace.model.retry import RetryPolicy

_KEYS = {
    "limit": "limit",
    "delay": "delay_s",
    "factor": "factor",
    "max_delay": "max_delay_s",
    "jitter": "jitter",
    "when": "when",
}


def policy_from(
    written: RetryPolicy | Mapping[str, Any] | int | None, default: RetryPolicy
) -> RetryPolicy:
    """Return the policy that `written` means, in the YAML's words; a number is the limit.

    Raises:
        InvalidPayload: A key or value is not a retry policy's.
    """
    if written is None:
        return default
    if isinstance(written, RetryPolicy):
        return written
    if isinstance(written, int) and not isinstance(written, bool):
        written = {"limit": written}
    if not isinstance(written, Mapping):
        raise InvalidPayload(f"retry takes a number or a mapping with {', '.join(_KEYS)}")
    unknown = sorted(set(written) - _KEYS.keys())
    if unknown:
        raise InvalidPayload(f'retry has no key "{unknown[0]}"; it takes {", ".join(_KEYS)}')
    changes: dict[str, Any] = {}
    for key, value in written.items():
        changes[_KEYS[key]] = seconds(value) if key in ("delay", "max_delay") else value
    if written.keys() & {"delay", "factor", "max_delay"}:
        changes["intervals_s"] = None
    if isinstance(changes.get("when"), list):
        changes["when"] = tuple(changes["when"])
    policy = replace(default, **changes)
    _check(policy)
    return policy


def _check(policy: RetryPolicy) -> None:
    # The dataclass only promises its types: the values come from outside.
    limit: Any = policy.limit
    factor: Any = policy.factor
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= 1000:
        raise InvalidPayload("retry.limit takes a whole number from 0 to 1000")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor <= 1000:
        raise InvalidPayload("retry.factor takes a number from 1 to 1000")
    if not isinstance(policy.jitter, bool):
        raise InvalidPayload("retry.jitter takes true or false")
    _check_when(policy.when)


def _check_when(when: Any) -> None:
    if isinstance(when, str):
        try:
            re.compile(when)
        except (re.error, RecursionError, OverflowError) as error:
            raise InvalidPayload(f"retry.when is not a regular expression: {error}") from None
    elif when is not None and not (
        isinstance(when, tuple) and when and all(isinstance(name, str) for name in when)
    ):
        raise InvalidPayload(
            "retry.when takes a list of error classes, or a regular expression for the error's text"
        )


def seconds(value: Any) -> float:
    """Return a duration (`30s`, or a number of seconds) in seconds.

    Raises:
        InvalidPayload: It is none, or not above zero.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        duration = float(value) if number else parse_duration_s(str(value))
    except (ValueError, OverflowError):
        duration = 0.0
    if not 0 < duration < 10**9:
        raise InvalidPayload(f'"{value}" is not a duration; write seconds, or 30s, 5m, 2h, 1d')
    return duration


@lru_cache(maxsize=256)
def policy_to_row(policy: RetryPolicy) -> Mapping[str, Any]:
    """Return the policy as a row's `retry` keeps it; one mapping for all rows, not to change."""
    return asdict(policy)


def policy_from_row(row: Mapping[str, Any]) -> RetryPolicy:
    """Return the policy that a row keeps."""
    known = {field.name for field in fields(RetryPolicy)}
    values = {key: value for key, value in row.items() if key in known}
    if values.get("intervals_s") is not None:
        values["intervals_s"] = tuple(values["intervals_s"])
    if isinstance(values.get("when"), list):
        values["when"] = tuple(values["when"])
    return RetryPolicy(**values)
