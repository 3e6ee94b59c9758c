"""The time that one send may take in all, whatever the other side does."""

import time

from headrace.jobapi.outbound.failures import NotSent

# Of one wait for the other side.
_STEP_S = 10.0


class Deadline:
    """Counts down from a number of seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def step_s(self, host: str) -> float:
        """Return how long the next wait for a host may take.

        Raises:
            NotSent: No time is left.
        """
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise NotSent(f"{host} took longer than {self._seconds:g} s")
        return min(_STEP_S, left_s)
