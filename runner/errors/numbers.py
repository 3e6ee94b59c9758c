"""Numbers of things, in words for messages."""


def number_of(count: int, noun: str) -> str:
    """Return a number with its noun, as in 1 run and 1,200 runs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
