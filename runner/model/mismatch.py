"""A JSON value that does not fit a type hint."""

from collections.abc import Callable

KeyPath = tuple[str | int, ...]
IsTemplate = Callable[[object], bool]


class Mismatch(Exception):
    """A value that does not fit. `path` leads to the part of it that does not.

    `rule` says which rule it breaks, where it is of the right type.
    """

    def __init__(self, path: KeyPath, rule: str = "") -> None:
        super().__init__(rule)
        self.path = path
        self.rule = rule
