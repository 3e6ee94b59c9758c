"""Durations as people write them: `30s`, `5m`, `2h`, `1d`."""

import re

PATTERN = r"^[0-9]+(\.[0-9]+)?[smhd]$"

# Longer than any wait that makes sense, and short enough for every clock and column.
LONGEST_S = 3650 * 86400.0

_DURATION = re.compile(PATTERN)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration_s(text: str) -> float:
    """Return the duration in seconds.

    Raises:
        ValueError: `text` is not a number followed by one of s, m, h and d, or it is
            longer than ten years. The message says so for the user.
    """
    if not _DURATION.fullmatch(text) or not text.isascii():
        raise ValueError(f'"{text}" is not a duration: write a number and s, m, h or d, as in 30s')
    seconds = float(text[:-1]) * _SECONDS[text[-1]]
    if seconds > LONGEST_S:
        raise ValueError(f'"{text}" is longer than ten years')
    return seconds


def format_duration(seconds: float) -> str:
    """Return the shortest way to write a duration: `300` seconds are `5m`."""
    for unit in "dhm":
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    # All its digits, and none that stands for a power of ten: it is read again.
    digits = f"{seconds:f}".rstrip("0").rstrip(".")
    return f"{digits}s"
