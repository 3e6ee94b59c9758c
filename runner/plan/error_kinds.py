"""The kinds of an error: as `retry.when` names them, and whether another attempt may help."""

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


# SQLSTATE classes, and single states, of errors that lie in the statement and its values or in
# what the role may do: the same statement fails the same way again.
_LASTING = (
    "0A",  # not supported
    "21",  # a subquery that gives more than one row, a row that is to be updated twice
    "22",  # a value that is none of its type, out of its range, a division by zero
    "26",  # no prepared statement of this name
    "2B",  # other objects depend on it
    "34",  # no cursor of this name
    "3D",  # no such database
    "3F",  # no such schema
    "42",  # syntax; what is not there, or there already; what the role may not do
    "54",  # too many columns, too deep
)
# Class 23 (constraints) is not among them: it speaks of other rows, which others write meanwhile;
# the row that a foreign key looks for may come later, the one that a unique key met may go. Nor
# are 25 (read-only: a standby that takes over), 28 (a password that is being changed), 40, 53,
# 55, 57, 58 and 08, which pass, nor P0001, which a routine raises for reasons of its own.


def is_lasting(error: BaseException) -> bool:
    """Return whether the server says that the statement itself cannot be carried out."""
    code = getattr(getattr(error, "orig", error), "pgcode", None)
    return isinstance(code, str) and code.startswith(_LASTING)
