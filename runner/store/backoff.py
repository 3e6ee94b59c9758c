"""Waiting for a server that does not answer: said once, with a growing, jittered pause."""

import logging
import random

from headrace.errors import HeadraceError

_LONGEST_PAUSE_S = 5.0


class Outage:
    """State of one loop in an outage."""

    def __init__(self, log: logging.Logger, *, first_pause_s: float) -> None:
        self._log = log
        self._first_pause_s = self._pause_s = first_pause_s
        self._code = ""

    def pause_s(self, error: HeadraceError) -> float:
        """Return how long to wait before the next try, in seconds."""
        self.say(error)
        # Full jitter: many workers must not come back in step.
        pause_s = random.uniform(0, self._pause_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        return pause_s

    def say(self, error: HeadraceError) -> None:
        """Say what is wrong, once for each cause."""
        code = f"{error.code} {getattr(error, 'reason', '')}".rstrip()
        if self._code != code:
            self._log.warning("%s; waiting for it", error)
            self._code = code

    def over(self) -> None:
        """Say that things go on; does nothing where there was no outage."""
        if self._code:
            self._log.info("continuing after %s", self._code)
            self._code = ""
        self._pause_s = self._first_pause_s
