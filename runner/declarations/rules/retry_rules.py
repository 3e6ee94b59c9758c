"""Rules for the `retry` of a step or of the defaults, beyond its schema."""

import math
import re
from collections.abc import Iterator

from headrace.declarations.draft import Draft, Finding

_HINT = "name classes in a list, as in [OperationalError], or write a regular expression (Python's)"


def retried_errors_make_sense(draft: Draft) -> Iterator[Finding]:
    """A text in `when` is a regular expression, and `factor` no NaN, which no bound excludes."""
    for path, retry in draft.retries():
        when, factor = retry.get("when"), retry.get("factor")
        if isinstance(factor, float) and math.isnan(factor):
            message = "this is no number to multiply a wait by"
            yield Finding((*path, "factor"), "bad-value", message, "write a number from 1 to 1000")
        if not isinstance(when, str) or not when:
            continue
        try:
            re.compile(when)
        except (re.error, RecursionError, OverflowError) as error:
            message = f"this is not a regular expression: {error}"
            yield Finding((*path, "when"), "bad-pattern", message, _HINT)
