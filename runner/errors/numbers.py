"""Numbers of things, in words for messages."""

from collections.abc import Sequence


def number_of(count: int, noun: str) -> str:
    """Return a number with its noun, as in 1 run and 1,200 runs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(names: Sequence[object], most: int = 5) -> str:
    """Return names with commas: the first `most`, and how many more there are."""
    more = len(names) - most
    shown = ", ".join(map(str, names[:most]))
    return f"{shown} and {more:,} more" if more > 0 else shown
