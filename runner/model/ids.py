"""Identifiers that sort by the time at which they were made."""

import os
import time
from threading import Lock
from uuid import UUID

_lock = Lock()
_last = 0


def new_id(room: int = 0) -> UUID:
    """Return a UUID of version 7: 48 bits of milliseconds, then 74 random bits.

    Within a process each one is greater than the one before. Rows in the order of their ids
    are rows in the order of their making: the primary key serves listings too, and new rows
    land on the same few index pages. The next `room` ids after it are given to nobody.

    Source: RFC 9562, section 5.7.
    """
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    global _last  # noqa: PLW0603 - one count a process is the point
    with _lock:
        if value <= _last:
            # In one millisecond, or where the clock was set back: go on from the last one, by
            # a random step, since a process that was forked from this one goes on from it too.
            value = _last + 1 + int.from_bytes(os.urandom(4))
        _last = value + room
    return UUID(int=value)


def new_ids(count: int) -> list[str]:
    """Return the texts of so many new ids, each greater than the one before."""
    value = new_id().int
    steps = memoryview(os.urandom(4 * count)).cast("I")
    ids = []
    for step in steps:
        value += 1 + step
        text = f"{value:032x}"
        ids.append(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")
    global _last  # noqa: PLW0603 - see above
    with _lock:
        _last = max(_last, value)
    return ids


def first_id_of(epoch_s: float) -> UUID:
    """Return the smallest id that could be made at a moment, in seconds since 1970."""
    return UUID(int=int(epoch_s * 1000) << 80)
