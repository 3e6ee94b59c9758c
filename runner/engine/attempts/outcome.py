"""Outcomes of `handle()`, and whether an error allows another attempt."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from headrace.engine.attempts.error_text import frames, plain_text, text_of
from headrace.engine.attempts.foreach import Expansion
from headrace.engine.attempts.job_making import NotMade
from headrace.errors import (
    InvalidPayload,
    InvalidResult,
    RefusedSql,
    TemplateError,
    TransactionEnded,
    UnknownJobClass,
)
from headrace.plan.error_kinds import is_lasting, kinds_of
from headrace.plan.retry_delay import is_worth_a_retry, retry_delay_s
from headrace.plan.retry_policy import policy_from_row

# What the declaration got wrong, no further attempt gets right.
_PERMANENT = (
    InvalidPayload,
    InvalidResult,
    RefusedSql,
    TemplateError,
    TransactionEnded,
    UnknownJobClass,
)


@dataclass(frozen=True, slots=True)
class Handled:
    """A job whose `handle()` has returned; `result` is JSON.

    `plain` where nothing but the result and log lines are to be stored: the job has opened no
    session, and may be run again if the result is lost. For `expansion` see there.
    """

    result: str | None
    plain: bool = False
    expansion: Expansion | None = None


@dataclass(frozen=True, slots=True)
class Raised:
    """A job whose `handle()` has raised; `permanent` where another attempt would raise again.

    `lasting` where it would most probably, unless the job's own `retry.when` says otherwise.
    `kinds` are the names of the error's classes, and of those of the errors that caused it;
    `said` is its own text, without the type. With `not_made` this worker's job files cannot make
    the job, and nothing of it has run.
    """

    error: str
    traceback: str
    permanent: bool = False
    lasting: bool = False
    kinds: frozenset[str] = frozenset()
    said: str = ""
    not_made: bool = False

    def retry_in_s(self, retry: dict[str, Any], retry_count: int) -> float | None:
        """Return the wait before the next attempt in seconds, None where none is to be made."""
        if self.permanent or (self.lasting and retry.get("when") is None):
            return None
        return retry_in_s(retry, retry_count, self.kinds, self.error, self.said)


def retry_in_s(
    retry: dict[str, Any], retry_count: int, kinds: Collection[str], *texts: str
) -> float | None:
    """Return the wait before the next attempt in seconds, None where none is left or worth it.

    `texts` are the error's, with its type and without: `retry.when` may match either.
    """
    policy = policy_from_row(retry)
    worth = any(is_worth_a_retry(policy, kinds, text) for text in texts)
    if retry_count >= policy.limit or not worth:
        return None
    return retry_delay_s(policy, retry_count + 1, random.random)


def raised(error: BaseException) -> Raised:
    """Return what a row keeps of an exception."""
    return Raised(
        text_of(error),
        frames(error),
        permanent=isinstance(error, _PERMANENT),
        lasting=is_lasting(error),
        kinds=kinds_of(error),
        said=plain_text(error),
        not_made=isinstance(error, NotMade),
    )
