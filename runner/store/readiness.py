"""Waiting for a file, whatever its number: `select.select` takes none above 1023."""

import select


def is_ready(file: int, *, within_s: float = 0.0, to_write: bool = False) -> bool:
    """Return whether a file can be read, or written to, or is at its end, within some time."""
    waiting = select.poll()
    waiting.register(file, select.POLLOUT if to_write else select.POLLIN)
    return bool(waiting.poll(max(0.0, within_s) * 1000))
