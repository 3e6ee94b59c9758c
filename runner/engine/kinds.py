"""The kinds of an error, as `retry.when` names them."""

from typing import Any

# How `retry.when` calls a job that was stopped at its timeout.
TIMEOUT_KINDS = frozenset({"JobTimeout", "TimeoutError"})


def kinds_of(error: BaseException) -> frozenset[str]:
    """Return the names of an error's classes, with those of what is behind it.

    The database driver's own error (`UniqueViolation`) stands in SQLAlchemy's as `orig`.
    """
    names: set[str] = set()
    behind: list[Any] = [error]
    seen: set[int] = set()
    while behind:
        one = behind.pop()
        if id(one) in seen:  # Causes may go round in a circle.
            continue
        seen.add(id(one))
        names |= {kind.__name__ for kind in type(one).__mro__ if kind is not object}
        behind += [
            cause
            for cause in (one.__cause__, getattr(one, "orig", None))
            if isinstance(cause, BaseException)
        ]
    return frozenset(names)
