"""Lines out of what a program writes, which comes in pieces."""

import time
from collections.abc import Callable

# Of what a program writes over its own line (a progress bar) this often something is a line.
_UPDATE_EVERY_S = 1.0


class Linewise:
    """Puts pieces of bytes together to lines. The end of a line longer than `longest` is left out.

    A line that ends with a carriage return is written over by the next one: of those one a
    second counts, and the last one.
    """

    def __init__(self, longest: int = 1 << 20, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest
        self._clock = clock
        self._begun = b""
        self._next_update = 0.0

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that end in a piece, without their ends."""
        *lines, self._begun = (self._begun + piece).split(b"\n")
        self._begun = self._begun[: self._longest]
        lines = [line[: self._longest] for line in lines]
        if b"\r" not in piece and not any(b"\r" in line for line in lines[:1]):
            return lines
        whole = [line for one in lines for line in self._last_state(one)]
        return whole + self._updates()

    def end(self) -> list[bytes]:
        """Return what was written after the last line's end, if anything."""
        begun, self._begun = self._begun, b""
        return self._last_state(begun) if begun else []

    def _last_state(self, line: bytes) -> list[bytes]:
        """Return what was left of a line in the end; what it had been before, too, if due."""
        *before, last = line.rstrip(b"\r").split(b"\r")
        due = [one for one in before if one and self._is_due()]
        return [*due, last]

    def _updates(self) -> list[bytes]:
        """Return what the line that has not ended yet has been, if that is due."""
        # A carriage return at the very end may belong to a line's end that is still to come.
        *before, last = self._begun[:-1].split(b"\r") if self._begun else (b"",)
        if before:
            self._begun = last + self._begun[-1:]
        return [one for one in before if one and self._is_due()]

    def _is_due(self) -> bool:
        now = self._clock()
        if now < self._next_update:
            return False
        self._next_update = now + _UPDATE_EVERY_S
        return True
